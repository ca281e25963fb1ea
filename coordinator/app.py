"""Composition: the one file that joins everything."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from bandwatch import names
from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.signing import SigningKey
from bandwatch.errors import NotFoundError, UnavailableError
from coordinator.jobs import Broker
from coordinator.notices import Notices, set_within
from coordinator.registry import schema
from coordinator.registry.session import Registry
from coordinator.rpc.admin import AdminServicer
from coordinator.rpc.identity import Doorkeeper
from coordinator.rpc.observers import ObserverLimits, ObserverServicer
from coordinator.rpc.server import Server
from coordinator.rpc.training import TrainingServicer
from coordinator.services import orders, runs
from coordinator.services.releases import Publisher
from coordinator.settings import CoordinatorSettings

STOP_GRACE_S = 10.0
SWEEP_S = 1.0
"""How often the scheduler looks for runs that workers must hear of."""

_log = structlog.get_logger()


def _token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no token at {path}: make keys and tokens with `bandwatch-coordinator make-keys`"
        ) from error
    if not token:
        raise NotFoundError(f"{path} is empty: make keys and tokens with `bandwatch-coordinator make-keys`")
    return token


@asynccontextmanager
async def running(settings: CoordinatorSettings) -> AsyncIterator[int]:
    """Serve until the block ends, and give the port."""
    registry = Registry(settings.sqlalchemy_url(), connections=settings.database_connections)
    notices = Notices(settings.watch_limit)
    broker = Broker(settings.redis_url)
    stopping = asyncio.Event()
    segment_blobs = BlobStore(settings.blob_dir / "segments")
    publisher = Publisher(SigningKey.load(settings.signing_key_file), BlobStore(settings.blob_dir / "models"))
    server = Server(
        Doorkeeper(
            registry,
            operator_token=_token(settings.operator_token_file),
            worker_token=_token(settings.worker_token_file),
        ),
        ObserverServicer(
            registry,
            notices,
            segment_blobs=segment_blobs,
            model_blobs=publisher.blobs,
            limits=ObserverLimits(
                clock_lead=timedelta(seconds=settings.clock_lead_s),
                upload_credit_bytes=settings.upload_credit_bytes,
                poll=timedelta(seconds=settings.poll_s),
            ),
            stopping=stopping,
        ),
        TrainingServicer(
            registry,
            notices,
            publisher,
            segment_blobs=segment_blobs,
            lease=settings.lease,
            attempts=settings.attempts,
        ),
        AdminServicer(registry, notices, publisher, broker, data_rules(settings)),
    )
    port = await server.start(settings.listen)
    try:
        yield port
    finally:
        stopping.set()
        notices.hint_all()
        await server.stop(STOP_GRACE_S)
        broker.close()
        await registry.close()


def data_rules(settings: CoordinatorSettings) -> orders.DataRules:
    """Return which segments may train."""
    return orders.DataRules(
        clipped_share_limit=settings.clipped_share_limit,
        anomalous_share_limit=settings.anomalous_share_limit,
        teacher_data=timedelta(seconds=settings.teacher_data_s),
        student_data=timedelta(seconds=settings.student_data_s),
    )


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve(settings: CoordinatorSettings) -> None:
    """Serve until told to stop."""
    stop = stop_on_signals()
    await asyncio.to_thread(schema.require_newest, settings.sqlalchemy_url())
    async with running(settings) as port:
        _log.info("coordinator serves", address=settings.listen, port=port)
        await stop.wait()
    _log.info("coordinator stopped")


async def schedule(settings: CoordinatorSettings) -> None:
    """Announce runs that workers must hear of, and end those that never come back, until told to stop."""
    stop = stop_on_signals()
    registry = Registry(settings.sqlalchemy_url(), connections=1)
    broker = Broker(settings.redis_url)
    try:
        _log.info("scheduler sweeps", every_s=SWEEP_S)
        checked = False
        while not stop.is_set():
            try:
                if not checked:
                    await asyncio.to_thread(broker.check)
                    checked = True
                await sweep(registry, broker, settings)
            except UnavailableError as error:
                _log.warning("sweep postponed", reason=error.message)
            await set_within(stop, SWEEP_S)
    finally:
        broker.close()
        await registry.close()


async def sweep(registry: Registry, broker: Broker, settings: CoordinatorSettings) -> None:
    """Look at every open run once."""
    async with registry.transaction() as session:
        if not await runs.try_scheduler_lock(session):
            return
        poisoned = await runs.end_poisoned(session, attempts=settings.attempts)
        due = await runs.due(session, republish=timedelta(seconds=settings.republish_s))
    for run_id in poisoned:
        _log.error("training run failed for good", run=names.runs.name(run_id))
    for run_id in due:
        if not await broker.announce(names.runs.name(run_id)):
            async with registry.transaction() as session:
                await runs.unpublish(session, run_id)
