"""What the networks share: their construction, their blocks, pixels and names, the registry."""
