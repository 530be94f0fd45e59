"""A file for each strategy, found by its name: `one_device.py` is "one-device".

Each has a `PLACEMENT`, a class that says how the strategy is made and what is different in a
training with it. A file imports TensorFlow where it needs it and not before: a training by several
workers must be set up before TensorFlow starts.
"""
