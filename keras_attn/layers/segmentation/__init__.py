"""Attention of networks that say something of each pixel, and their heads."""
