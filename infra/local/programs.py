"""The programs of Bandwatch as the local stack runs them: command, settings, and how they show that they are ready."""

import sys
from functools import partial
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bandwatch.wire.channel import open_blocking_channel
from infra.local.child import Program
from infra.local.data_folder import DataFolder

_CHECK_TIMEOUT_S: Final = 2.0


def coordinator_programs(
    folder: DataFolder, address: str, database_url: str, redis_url: str
) -> tuple[Program, Program, Program]:
    """Return the migration, which runs to its end, then the server and the schedule."""
    environment = {
        "PYTHONUNBUFFERED": "1",
        "BANDWATCH_COORDINATOR_LISTEN": address,
        "BANDWATCH_COORDINATOR_DATABASE_URL": database_url,
        "BANDWATCH_COORDINATOR_REDIS_URL": redis_url,
        "BANDWATCH_COORDINATOR_BLOB_DIR": str(folder.blobs),
        "BANDWATCH_COORDINATOR_SIGNING_KEY_FILE": str(folder.signing_key_file),
        "BANDWATCH_COORDINATOR_OPERATOR_TOKEN_FILE": str(folder.operator_token_file),
        "BANDWATCH_COORDINATOR_WORKER_TOKEN_FILE": str(folder.worker_token_file),
    }
    command = (sys.executable, "-P", "-m", "coordinator")  # -P: never what lies in the folder it was started from
    return (
        Program("migrate", (*command, "migrate"), environment),
        Program("coordinator", (*command, "serve"), environment, is_healthy=partial(is_serving, address)),
        Program("schedule", (*command, "schedule"), environment),
    )


def worker_program(folder: DataFolder, number: int, address: str, redis_url: str) -> Program:
    """Return one training worker; each has its own folder."""
    name = f"worker-{number}"
    return Program(
        name,
        (sys.executable, "-P", "-m", "training_worker", "run"),
        {
            "PYTHONUNBUFFERED": "1",
            "BANDWATCH_WORKER_COORDINATOR": address,
            "BANDWATCH_WORKER_TOKEN_FILE": str(folder.worker_token_file),
            "BANDWATCH_WORKER_REDIS_URL": redis_url,
            "BANDWATCH_WORKER_DATA_DIR": str(folder.worker / name),
        },
    )


def is_serving(address: str) -> bool:
    """Return whether the coordinator at the address says that it serves."""
    with open_blocking_channel(address, token="") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=""), timeout=_CHECK_TIMEOUT_S
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
