"""Ways to find where a network looks, beside its own attention."""
