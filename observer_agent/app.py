"""Composition: the one file that joins everything."""

import asyncio
import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from bandwatch.identity.identity_files import load_identity
from bandwatch.logs import configure_logs
from bandwatch.lte.anomalies.timetable import AnomalyMixer, parse_timetable
from observer_agent.agent.loop import Agent, Source
from observer_agent.detection.inspection import Inspection
from observer_agent.models.store import ModelStore
from observer_agent.places.gpsd import GpsdPositions
from observer_agent.places.positions import PositionSource
from observer_agent.places.serving_cell_file import ServingCellFile
from observer_agent.places.track_file import TrackFile
from observer_agent.receivers.driven import Drive, DrivenReceiver
from observer_agent.receivers.json_files import read_json_file
from observer_agent.receivers.recording import SigmfRecording
from observer_agent.receivers.simulated import SimulatedReceiver, Simulation
from observer_agent.settings import AgentSettings
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink

ENROL = "enrol the observer with `bandwatch-agent enroll` and the join token that an operator made for it"
_MEGABYTE = 1_000_000


def run(settings: AgentSettings) -> None:
    """Run an agent until it is told to stop by SIGTERM or SIGINT.

    Raises:
        BandwatchError: The agent cannot start, or its receiver broke; the sentence says what to do.
    """
    configure_logs("bandwatch-agent")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with alone_in(settings.data_dir):
        asyncio.run(_run(settings))


async def _run(settings: AgentSettings) -> None:
    source = make_source(settings)
    identity = load_identity(settings.identity_folder, ENROL)
    store = ModelStore(settings.data_dir / "models", identity.release_root)
    spool = Spool(
        settings.data_dir / "spool",
        limit_bytes=settings.spool_limit_mb * _MEGABYTE,
        quarantine_limit_bytes=settings.quarantine_limit_mb * _MEGABYTE,
    )
    try:
        async with Uplink(settings, identity) as uplink:
            agent = Agent(settings, source, spool, store, uplink)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, agent.stop)
            await agent.run()
    finally:
        spool.close()


def make_source(settings: AgentSettings) -> Source:
    """Return what the settings say to listen to.

    Raises:
        NotFoundError: A file is missing.
        InvalidArgumentError: A file does not describe what it should.
    """
    receiver: SigmfRecording | SimulatedReceiver | DrivenReceiver
    mobility, positions = settings.mobility, _positions(settings)
    if settings.simulate is not None:
        simulation = Simulation.read(settings.simulate)
        receiver = SimulatedReceiver(simulation)
        mobility = mobility or simulation.mobility
    elif settings.drive is not None:
        receiver = DrivenReceiver(Drive.read(settings.drive))
        mobility, positions = mobility or "driving", positions or receiver.track
    elif settings.recording is not None:
        receiver = SigmfRecording(
            settings.recording,
            loop=settings.loop,
            passes=settings.passes,
            start_s=settings.start_seconds,
            duration_s=settings.duration_seconds,
            center_hz=settings.center_hz,
        )
    else:
        raise AssertionError("the settings name exactly one source")
    return Source(
        receiver=receiver,
        mobility=mobility or "static",
        mixer=_mixer(settings.anomalies, receiver.sample_rate_hz),
        inspection=Inspection(settings.inspect) if settings.inspect else None,
        positions=positions,
    )


def _positions(settings: AgentSettings) -> PositionSource | None:
    if settings.track is not None:
        return TrackFile(settings.track)
    if settings.serving_cell is not None:
        return ServingCellFile(settings.serving_cell)
    if settings.gpsd is None:
        return None
    host, _, port = settings.gpsd.rpartition(":")
    return GpsdPositions(host.strip("[]"), int(port), timeout_s=settings.position_timeout_s)


def _mixer(timetable: Path | None, sample_rate_hz: float) -> AnomalyMixer | None:
    if timetable is None:
        return None
    try:
        return AnomalyMixer(parse_timetable(read_json_file(timetable, object)), sample_rate_hz, seed=0)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{timetable}: {error.message}") from error


@contextmanager
def alone_in(data_dir: Path) -> Iterator[None]:
    """Hold the folder: two agents with one spool would give the same numbers twice."""
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FailedPreconditionError(f"another agent uses {data_dir}: give each its own --data-dir") from error
        yield
