"""The commands that make a network: train, finetune, insert, evaluate, recipes."""
