"""Attention that scales a map: gates of channels, of places, or of both."""
