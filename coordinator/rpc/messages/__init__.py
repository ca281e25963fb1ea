"""Rows as messages and messages as the inputs of services."""
