"""Takes the commands of the coordinator; serves health and nothing else."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from bandwatch.wire.channel import server_credentials

command = sys.argv[1]
print(f"{command} with {os.environ['BANDWATCH_COORDINATOR_DATABASE_URL']}")  # noqa: T201 - a log to be looked at
if command == "migrate":
    sys.exit(int(os.environ.get("STAND_IN_MIGRATE_STATUS", "0")))
if command == "serve":
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_secure_port(os.environ["BANDWATCH_COORDINATOR_LISTEN"], server_credentials())
    server.start()
signal.sigwait([signal.SIGTERM])
