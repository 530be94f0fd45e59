"""The commands that look at what there is: models, runs, predict, explain, checks, completion."""
