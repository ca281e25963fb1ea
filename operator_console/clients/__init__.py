"""Parts of the coordinator's client, one for each topic."""
