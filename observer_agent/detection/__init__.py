"""A model in force, and what it says of each window."""
