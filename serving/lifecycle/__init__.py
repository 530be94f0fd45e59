"""What decides which versions of which models are served."""
