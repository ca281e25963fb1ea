"""Anomalies by timetable, mixed into real or simulated samples."""
