"""Where a training runs, and a model that trains right there."""
