"""Where the observer is, and in which cell."""
