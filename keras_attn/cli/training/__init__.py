"""The commands that make a network: train, finetune, evaluate, recipes."""
