"""The formats of weights files, each read by itself and measured before it is read."""
