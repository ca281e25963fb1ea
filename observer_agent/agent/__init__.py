"""The agent's loop: listen, converge on the desired state, deliver."""
