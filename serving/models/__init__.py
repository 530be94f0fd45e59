"""What loads a model, runs it, and answers a request with it."""
