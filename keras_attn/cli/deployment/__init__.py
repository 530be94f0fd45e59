"""The commands that take a network to its users: export, serve, kit."""
