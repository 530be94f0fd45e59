"""Gates of places: of each, of a neighbourhood, or one context for all of them."""
