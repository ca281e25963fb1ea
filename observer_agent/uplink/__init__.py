"""Speaks to the coordinator: the only place of the agent that knows its messages."""
