"""Frames of spectrograms straight from what senders send, without samples: the fast way."""
