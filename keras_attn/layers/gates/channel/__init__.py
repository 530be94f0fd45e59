"""Gates of channels: a weight for each, the same at all places."""
