"""Where pretrained weights come from, and how a file of them is read into a network."""

from keras_attn.weights.files import load_weights as load_weights
