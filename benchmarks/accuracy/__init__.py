"""Networks trained to the end, and what their weights are worth."""
