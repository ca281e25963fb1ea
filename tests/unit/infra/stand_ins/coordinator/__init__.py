"""Stands in for the coordinator where only its supervision is tested."""
