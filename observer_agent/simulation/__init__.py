"""A fleet of agents in one process, which share a simulated network."""
