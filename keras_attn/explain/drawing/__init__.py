"""Pictures of heat and gates, with Pillow."""
