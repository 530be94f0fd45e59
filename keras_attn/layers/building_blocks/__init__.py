"""What the networks need beside attention, where Keras has none or another."""
