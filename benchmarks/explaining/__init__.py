"""What pictures of attention are worth, and what gates say of classes."""
