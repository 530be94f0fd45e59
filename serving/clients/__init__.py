"""Programs that ask a server. Each is a file that can be copied and run by its path."""
