"""The commands that look at networks and what they answer: models, predict, explain."""
