"""The gRPC edge: message in, service call, message out."""
