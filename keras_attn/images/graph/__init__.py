"""What `keras_attn.images` does, in TensorFlow's graph: decoding, setting upright, resizing."""
