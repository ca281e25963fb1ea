"""Judges models and methods on recordings, on frames, and against one another."""
