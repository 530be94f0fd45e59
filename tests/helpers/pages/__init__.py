"""The page of a server, opened in a real browser."""
