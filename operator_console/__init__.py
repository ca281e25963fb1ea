"""The operator's console: a gRPC client."""
