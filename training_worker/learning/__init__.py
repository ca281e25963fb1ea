"""Networks, fits, calibration and export: torch and arrays only."""
