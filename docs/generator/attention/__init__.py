"""The pages of what attention there is."""
