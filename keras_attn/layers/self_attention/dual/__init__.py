"""The two attentions of the Dual Attention Network: over places, and over channels."""
