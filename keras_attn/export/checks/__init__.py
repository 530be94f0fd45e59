"""An export is run, and compared with its network, before it is in place."""
