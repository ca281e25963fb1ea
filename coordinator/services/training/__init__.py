"""What trains: which segments may, runs and their stages, and the policies that order them."""
