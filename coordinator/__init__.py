"""The coordinator: registries, releases and training runs behind gRPC."""
