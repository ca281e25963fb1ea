"""How Bandwatch is run."""
