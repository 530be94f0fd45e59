"""The page at `/`, to try images on: its files, and what it asks about the models."""
