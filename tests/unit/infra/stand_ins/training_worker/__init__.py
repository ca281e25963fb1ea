"""Stands in for the training worker where only its supervision is tested."""
