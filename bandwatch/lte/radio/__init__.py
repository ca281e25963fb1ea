"""The way of a signal to a receiver, and streams of samples."""
