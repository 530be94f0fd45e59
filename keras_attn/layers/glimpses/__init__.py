"""Attention that chooses where to look: boxes cut out of the image, and who places them."""
