"""The Residual Attention Network's module, and the units that it is made of."""
