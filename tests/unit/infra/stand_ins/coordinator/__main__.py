"""Takes the commands of the coordinator; serves health and nothing else."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from bandwatch.identity.keyring import load_keyring
from bandwatch.wire.channel import server_credentials
from bandwatch.wire.serving import ServerCertificate

command = sys.argv[1]
print(f"{' '.join(sys.argv[1:])} with {os.environ['BANDWATCH_COORDINATOR_DATABASE_URL']}")  # noqa: T201 - a log to be looked at
if command == "migrate":
    sys.exit(int(os.environ.get("STAND_IN_MIGRATE_STATUS", "0")))
if command.startswith("make"):
    sys.exit(0)
if command == "serve":
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    keyring = partial(load_keyring, Path(os.environ["BANDWATCH_COORDINATOR_KEYS_DIR"]))
    credentials = server_credentials(ServerCertificate(keyring, ["127.0.0.1"]).configuration, members_only=False)
    server.add_secure_port(os.environ["BANDWATCH_COORDINATOR_LISTEN"], credentials)
    server.start()
signal.sigwait([signal.SIGTERM])
