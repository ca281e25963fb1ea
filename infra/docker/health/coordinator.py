"""Exits with 0 when the coordinator of this container proves itself and says that it serves."""

import os
import socket
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PREFIX = "BANDWATCH_COORDINATOR_"


def main() -> None:
    """Ask the standard health service over loopback."""
    port = os.environ.get(f"{PREFIX}LISTEN", "127.0.0.1:50051").rpartition(":")[2]
    authorities = Path(os.environ.get(f"{PREFIX}KEYS_DIR", "bandwatch-data/keys"), "authorities.pem").read_bytes()
    # The certificate is always good for the name of the host, whatever else it is good for.
    options = [("grpc.ssl_target_name_override", socket.gethostname()), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(authorities), options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=4)
        except grpc.RpcError as error:
            sys.exit(f"the coordinator does not answer: {error}")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit("the coordinator says that it does not serve")


if __name__ == "__main__":
    main()
