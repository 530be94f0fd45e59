"""What layers and networks are compared with: other code's outputs, and plain NumPy."""
