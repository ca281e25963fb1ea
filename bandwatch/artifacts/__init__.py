"""Models as signed manifests and content-addressed blobs."""
