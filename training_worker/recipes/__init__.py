"""Whole training runs, read from top to bottom."""
