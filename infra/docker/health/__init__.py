"""Programs that images run to see whether theirs is healthy; each is copied alone."""
