"""A simulated LTE cell, and anomalies for simulated and real radio alike."""
