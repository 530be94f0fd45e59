"""What is in an exported graph beside the network: images, attention, signatures."""
