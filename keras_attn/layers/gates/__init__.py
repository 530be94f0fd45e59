"""Attention that scales a map, in a room for what the gates belong to."""
