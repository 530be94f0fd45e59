"""Self-attention whose keys are near their query: blocks, windows, neighbourhoods."""
