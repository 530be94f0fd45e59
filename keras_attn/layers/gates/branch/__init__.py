"""Gates of branches: a softmax mixes paths that see the map at several sizes."""
