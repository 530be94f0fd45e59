"""The folder that a run leaves: who owns it, what is in it, and how it is gone on with."""
