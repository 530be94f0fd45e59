"""Attention of all places to all that never holds the map of all pairs."""
