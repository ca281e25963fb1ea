"""Networks of cells and observers, described by a small file."""
