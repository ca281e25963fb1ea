"""The agent on an observer: radio in, anomalies out."""
