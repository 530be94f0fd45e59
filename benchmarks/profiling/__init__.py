"""Where the time of attention goes, and what was tried to make it less."""
