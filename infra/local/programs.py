"""The programs of Bandwatch as the local stack runs them: command, settings, and how they show that they are ready."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bandwatch.wire.channel import newcomer_credentials, open_blocking_channel
from infra.local.child import Program
from infra.local.data_folder import DataFolder

_CHECK_TIMEOUT_S: Final = 2.0
_COORDINATOR: Final = (sys.executable, "-P", "-m", "coordinator")
"""-P: never what lies in the folder it was started from."""
_WORKER: Final = (sys.executable, "-P", "-m", "training_worker")


@dataclass(frozen=True)
class Addresses:
    """Where a coordinator listens."""

    open: str
    """For newcomers and operators."""
    members: str


@dataclass(frozen=True)
class CoordinatorPrograms:
    """What runs with the settings of the coordinator: two to their end, then two for good."""

    migrate: Program
    make_operator: Program
    serve: Program
    schedule: Program
    environment: Mapping[str, str]


def coordinator_programs(
    folder: DataFolder, addresses: Addresses, database_url: str, redis_url: str
) -> CoordinatorPrograms:
    """Return the programs of the coordinator."""
    environment = {
        "PYTHONUNBUFFERED": "1",
        "BANDWATCH_COORDINATOR_LISTEN": addresses.open,
        "BANDWATCH_COORDINATOR_MEMBER_LISTEN": addresses.members,
        "BANDWATCH_COORDINATOR_KEYS_DIR": str(folder.keys),
        "BANDWATCH_COORDINATOR_DATABASE_URL": database_url,
        "BANDWATCH_COORDINATOR_REDIS_URL": redis_url,
        "BANDWATCH_COORDINATOR_BLOB_DIR": str(folder.blobs),
        "BANDWATCH_COORDINATOR_SIGNING_KEY_FILE": str(folder.signing_key_file),
        "BANDWATCH_COORDINATOR_TIMESTAMP_KEY_FILE": str(folder.timestamp_key_file),
        "BANDWATCH_COORDINATOR_RELEASE_ROOT_FILE": str(folder.release_root_file),
    }
    operator = ("make-operator", "local", "--role", "admin", "--token-file", str(folder.operator_token_file))
    ready = partial(is_serving, addresses.open, folder.authorities_file)
    return CoordinatorPrograms(
        migrate=Program("migrate", (*_COORDINATOR, "migrate"), environment),
        make_operator=Program("make-operator", (*_COORDINATOR, *operator), environment),
        serve=Program("coordinator", (*_COORDINATOR, "serve"), environment, is_healthy=ready),
        schedule=Program("schedule", (*_COORDINATOR, "schedule"), environment),
        environment=environment,
    )


@dataclass(frozen=True)
class WorkerPrograms:
    """What lets a worker in, one after the other, and the worker itself."""

    invite: Program
    enroll: Program
    run: Program


def worker_programs(
    folder: DataFolder, number: int, address: str, redis_url: str, inviting: Mapping[str, str]
) -> WorkerPrograms:
    """Return the programs of one training worker; each has its own folder. Invitations need the coordinator's settings.

    A worker enrols anew at each start: its coordinator may be another one, or elsewhere.
    """
    own_folder = folder.worker_folder(number)
    name, token_file = own_folder.name, str(own_folder / "join.token")
    invitation = ("make-join-token", "--role", "worker", "--name", f"workers/{name}", "--token-file", token_file)
    environment = {
        "PYTHONUNBUFFERED": "1",
        "BANDWATCH_WORKER_REDIS_URL": redis_url,
        "BANDWATCH_WORKER_DATA_DIR": str(own_folder),
    }
    enrolment = ("enroll", "--coordinator", address, "--token-file", token_file)
    return WorkerPrograms(
        invite=Program(f"invite-{name}", (*_COORDINATOR, *invitation), inviting),
        enroll=Program(f"enroll-{name}", (*_WORKER, *enrolment), environment),
        run=Program(name, (*_WORKER, "run"), environment),
    )


def is_serving(address: str, authorities_file: Path) -> bool:
    """Return whether the coordinator at the address proves itself and says that it serves."""
    with open_blocking_channel(address, newcomer_credentials(authorities_file.read_bytes())) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=""), timeout=_CHECK_TIMEOUT_S
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
