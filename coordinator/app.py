"""Composition: the one file that joins everything."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bandwatch import names
from bandwatch.artifacts.release_roots import ReleaseRoot
from bandwatch.artifacts.s3_blobs import S3Blobs
from bandwatch.errors import UnavailableError
from bandwatch.identity.keyring import load_keyring
from bandwatch.wire.serving import ServerCertificate
from coordinator.jobs import Broker
from coordinator.metrics import Metrics
from coordinator.notices import Notices, set_within
from coordinator.parts import (
    data_rules,
    make_postman,
    make_publisher,
    merge_rules,
    open_blobs,
    rollout_rules,
)
from coordinator.registry import schema
from coordinator.registry.callers import SCHEDULE, current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.admin.desk import Tools
from coordinator.rpc.admin.servicer import AdminServicer
from coordinator.rpc.edge import Edge
from coordinator.rpc.enrollment import EnrollmentServicer, Membership
from coordinator.rpc.identity import Doorkeeper
from coordinator.rpc.observers import ObserverLimits, ObserverServicer
from coordinator.rpc.refusal_log import RefusalLog
from coordinator.rpc.rounds import every
from coordinator.rpc.server import Ports, Server, Servicers
from coordinator.rpc.training import TrainingServicer
from coordinator.rpc.vigil import Vigil
from coordinator.rpc.wakeups import Wakeups
from coordinator.services import overview
from coordinator.services.detection import health, merges
from coordinator.services.fleet import statistics
from coordinator.services.housekeeping import Chore, Housekeeping, try_scheduler_lock
from coordinator.services.releasing import rollouts
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.training import runs, stages
from coordinator.services.training.upkeep import Limits, keep_up
from coordinator.settings import CoordinatorSettings

STOP_GRACE_S = 10.0
METADATA_S = 10.0
"""How often the scheduler looks whether metadata of releases must be signed again."""
OVERVIEW_S = 15.0
"""How often metrics of the whole fleet are counted anew."""
SWEEP_S = 1.0
"""How often the scheduler looks for runs that workers must hear of."""
STRANGERS_CONNECTIONS = 4
"""Connections to the database for whoever is not known yet: however many call, members keep theirs."""
GUARDS_CONNECTIONS = 2
"""Connections to the database for looking after open streams and noting refusals, however busy the others are."""

_log = structlog.get_logger()
Rotation = Callable[[Registry, Publisher, Path], Awaitable[ReleaseRoot]]


@asynccontextmanager
async def running(settings: CoordinatorSettings) -> AsyncIterator[Ports]:
    """Serve until the block ends, and give the ports."""
    registry = Registry(settings.sqlalchemy_url(), connections=settings.database_connections)
    front = Registry(settings.sqlalchemy_url(), connections=STRANGERS_CONNECTIONS)
    guard = Registry(settings.sqlalchemy_url(), connections=GUARDS_CONNECTIONS)
    notices = Notices(settings.watch_limit)
    metrics = Metrics()
    broker = Broker(settings.redis_url)
    stopping = asyncio.Event()
    segment_blobs = open_blobs(settings, "segments")
    publisher = make_publisher(settings)
    certificate = ServerCertificate(partial(load_keyring, settings.keys_dir), settings.all_server_names())
    vigil, refusals = Vigil(guard), RefusalLog(guard)
    servicers = Servicers(
        EnrollmentServicer(
            registry,
            front,
            Membership(lambda: certificate.keyring, timedelta(seconds=settings.certificate_lifetime_s)),
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
                merging=merge_rules(settings),
            ),
            stopping=stopping,
            keyring=lambda: certificate.keyring,
            refusals=refusals,
            metrics=metrics,
        ),
        TrainingServicer(
            registry,
            publisher,
            segment_blobs=segment_blobs,
            lease=settings.lease,
            attempts=settings.attempts,
            rules=rollout_rules(settings),
        ),
        AdminServicer(
            Tools(
                registry,
                publisher,
                broker,
                data_rules(settings),
                segment_blobs,
                lambda: certificate.keyring,
                rollout_rules(settings),
            )
        ),
    )
    server = Server(Edge(Doorkeeper(registry, front), vigil, refusals, metrics), servicers, certificate)
    async with registry.transaction() as session:
        await publisher.prepare(session)
    ports = await server.start(settings.listen, settings.member_listen)
    endless = [vigil.keep(), refusals.keep(), Wakeups(registry, notices).keep()]
    if settings.metrics_listen:
        endless.append(every(OVERVIEW_S, partial(show_overview, guard, metrics), "counting for metrics"))
    try:
        async with kept(*endless):
            with metrics.serving(settings.metrics_listen):
                yield ports
    finally:
        stopping.set()
        notices.hint_all()
        await server.stop(STOP_GRACE_S)
        await refusals.say_how_many_more()
        broker.close()
        for each in (registry, front, guard):
            await each.close()


@asynccontextmanager
async def kept(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do work that never ends until the block does; nothing of it goes on after that."""
    tasks = [asyncio.create_task(work) for work in endless]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def show_overview(registry: Registry, metrics: Metrics) -> None:
    """Set the metrics of the whole fleet."""
    async with registry.transaction() as session:
        await overview.show(session, metrics)


async def check_blobs(settings: CoordinatorSettings) -> None:
    """See that blobs can be stored; where the store is only away, say so and go on without it.

    Raises:
        FailedPreconditionError: A bucket is named that does not exist or does not let us in.
    """
    blobs = open_blobs(settings, "segments")
    try:
        if isinstance(blobs, S3Blobs):
            await asyncio.to_thread(blobs.check)
    except UnavailableError as error:
        _log.warning("segments and models cannot be stored at present", reason=error.message)


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
    await check_blobs(settings)
    async with running(settings) as ports:
        _log.info("coordinator serves", address=settings.listen, port=ports.open, member_port=ports.members)
        await stop.wait()
    _log.info("coordinator stopped")


async def schedule(settings: CoordinatorSettings) -> None:
    """Announce runs that workers must hear of, and end those that never come back, until told to stop."""
    current_caller.set(SCHEDULE)
    stop = stop_on_signals()
    registry = Registry(settings.sqlalchemy_url(), connections=2)
    broker = Broker(settings.redis_url)
    postman = make_postman(registry, settings)
    housekeeping = make_housekeeping(registry, settings)
    try:
        async with kept(postman.keep()):
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
                await housekeeping.look_after()
                await set_within(stop, SWEEP_S)
    finally:
        await postman.close()
        broker.close()
        await registry.close()


def make_housekeeping(registry: Registry, settings: CoordinatorSettings) -> Housekeeping:
    """Return what the schedule does by itself besides announcing runs."""
    limits = Limits(open_runs=settings.open_runs_limit, rest=timedelta(seconds=settings.policy_rest_s))
    kept = timedelta(seconds=settings.statistics_life_s)
    publisher = make_publisher(settings)
    return Housekeeping(
        registry,
        [
            Chore("health of observers", settings.health_interval_s, health.check),
            Chore("metadata of releases", METADATA_S, publisher.refresh),
            Chore("policies", settings.policy_interval_s, lambda s: keep_up(s, data_rules(settings), limits)),
            Chore("stages of runs", SWEEP_S, stages.follow),
            Chore("rollouts", SWEEP_S, lambda s: rollouts.advance(s, publisher, rollout_rules(settings))),
            Chore("incidents", SWEEP_S, lambda s: merges.settle(s, merge_rules(settings))),
            Chore("old statistics", 60.0, lambda s: statistics.forget(s, older_than=kept)),
        ],
    )


async def rotate(settings: CoordinatorSettings, root_key: Path | None, rotation: Rotation) -> int:
    """Exchange keys of releases; return the version of the root that names the new ones."""
    await asyncio.to_thread(schema.require_newest, settings.sqlalchemy_url())
    registry = Registry(settings.sqlalchemy_url(), connections=1)
    try:
        root_key = root_key or settings.signing_key_file.with_name("root.key")
        return (await rotation(registry, make_publisher(settings), root_key)).version
    finally:
        await registry.close()


async def sweep(registry: Registry, broker: Broker, settings: CoordinatorSettings) -> None:
    """Look at every open run once."""
    async with registry.transaction() as session:
        if not await try_scheduler_lock(session):
            return
        poisoned = await runs.end_poisoned(session, attempts=settings.attempts)
        poisoned += await runs.end_overdue(session)
        due = await runs.due(session, republish=timedelta(seconds=settings.republish_s))
    for run_id in poisoned:
        _log.error("training run failed for good", run=names.runs.name(run_id))
    for run_id in due:
        if not await broker.announce(names.runs.name(run_id)):
            async with registry.transaction() as session:
                await runs.unpublish(session, run_id)
