"""What the agent is to run and what it holds for that."""
