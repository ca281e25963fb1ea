"""Images of the programs, made where there may be no image registry."""
