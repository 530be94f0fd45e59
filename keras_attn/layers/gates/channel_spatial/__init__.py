"""Gates of channels and places, one after the other, side by side or as one mask."""
