"""What is tried to break the library, again and again, and how often it held."""
