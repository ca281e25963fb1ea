"""What an operator would name: use cases over the registry."""
