"""What was made and is not yet delivered: bounded, and it survives a loss of power."""
