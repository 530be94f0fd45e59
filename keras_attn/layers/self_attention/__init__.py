"""Attention among places: each takes a weighted mean over the others."""
