"""The seed paper's tables and figures on a simulated network, each beside what the paper states."""
