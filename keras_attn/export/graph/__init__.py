"""What is in an exported graph beside the network: attention, signatures."""
