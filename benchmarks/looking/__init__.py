"""What attention gains that chooses where to look."""
