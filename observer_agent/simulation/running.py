"""Runs a fleet: identities, agents, progress, the end, and the account of it all."""

import asyncio
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bandwatch.errors import InvalidArgumentError
from bandwatch.identity.identity_files import Identity
from bandwatch.lte.network.network import read_network
from observer_agent.app import alone_in
from observer_agent.simulation.account import FleetAccount, totals_of
from observer_agent.simulation.fleet import SimulatedObserver, make_fleet
from observer_agent.simulation.identities import obtain_identities, read_tokens
from observer_agent.simulation.links import LinkFaults
from observer_agent.simulation.member import Member, settings_of
from observer_agent.simulation.radio import DutyCycle, SharedRadio
from observer_agent.simulation.witness import Fate

_PROGRESS_S: Final = 10.0
_LATE_S: Final = 5.0
"""Radio that comes later than this is worth advice."""
_THREADS: Final = 32
"""For all that agents write to disk."""
_KILOBYTES: Final = 1000.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SimulationOptions:
    """What the command says. Times in seconds; without a `duration_s` a signal ends the simulation."""

    network: Path
    observers: int
    data_dir: Path
    coordinator: str
    tokens: Path | None
    duration_s: float | None
    duty: DutyCycle
    start_s: float
    faults: LinkFaults
    deliver_s: float
    """How long agents may go on delivering once the radio has ended."""

    def __post_init__(self) -> None:
        if self.duty.listen_s > self.duty.period_s:
            raise InvalidArgumentError("nobody can listen for longer than a period: lower --listen-seconds")


def simulate(options: SimulationOptions, tell: Tell) -> FleetAccount:
    """Run a fleet until its time is over or a signal ends it, and return the account.

    The first SIGTERM or SIGINT ends the radio and lets agents deliver what they made; the second ends them at once.

    Raises:
        BandwatchError: It cannot start; the sentence says what to do.
    """
    options.data_dir.mkdir(parents=True, exist_ok=True)
    _allow_many_files()
    with alone_in(options.data_dir):
        return asyncio.run(_simulate(options, tell))


async def _simulate(options: SimulationOptions, tell: Tell) -> FleetAccount:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    network = read_network(options.network).description
    fleet = make_fleet(network, options.observers)
    tokens = await asyncio.to_thread(read_tokens, options.tokens) if options.tokens else []
    folders = {observer.name: options.data_dir / observer.entry.id for observer in fleet}
    identities = await obtain_identities(
        list(folders), lambda name: folders[name] / "identity", tokens, options.coordinator, tell
    )
    await _prepare(SharedRadio(network, options.duty, options.start_s), fleet, tell)
    radio = SharedRadio(network, options.duty, options.start_s)
    members = [
        Member(observer, settings_of(folders[observer.name], options.network), radio, number / len(fleet))
        for number, observer in enumerate(fleet)
    ]
    began_at = datetime.now(UTC)
    await _run(members, identities, options, radio, tell)
    accounts = [member.account() for member in members]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return FleetAccount(
        began_at=began_at,
        ended_at=datetime.now(UTC),
        network=str(options.network),
        listen_s=options.duty.listen_s,
        period_s=options.duty.period_s,
        totals=totals_of(accounts, cpu_s=usage.ru_utime + usage.ru_stime, peak_memory_mb=usage.ru_maxrss / _KILOBYTES),
        observers=accounts,
    )


async def _prepare(radio: SharedRadio, fleet: Sequence[SimulatedObserver], tell: Tell) -> None:
    """Compute what cells always send before the clock runs: one look in each cell."""
    first_of = {observer.cell_at(radio.start_s): observer for observer in reversed(fleet)}
    tell(f"preparing {len(first_of)} simulated cells")
    for observer in first_of.values():
        await asyncio.to_thread(radio.frames, observer, 0.0)


async def _run(
    members: Sequence[Member],
    identities: Mapping[str, Identity],
    options: SimulationOptions,
    radio: SharedRadio,
    tell: Tell,
) -> None:
    ending, stopping = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (stopping if ending.is_set() else ending).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    duty = options.duty
    tell(f"{len(members)} observers listen for {duty.listen_s:g} s in every {duty.period_s:g} s")
    agents = asyncio.gather(*(member.run(identities[member.observer.name], options.faults) for member in members))
    progress = asyncio.create_task(_show_progress(members, radio, ending, tell))
    try:
        await _until(ending, agents, options.duration_s)
        ending.set()
        tell("the radio has ended; delivering what was made")
        for member in members:
            member.end()
        await _until(stopping, agents, options.deliver_s)
        for member in members:
            member.stop()
        await agents
    finally:
        progress.cancel()


async def _until(event: asyncio.Event, agents: "asyncio.Future[list[None]]", longest_s: float | None) -> None:
    """Wait for an event, for all agents to end, or for so many seconds."""
    agents.add_done_callback(lambda _: event.set())
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()


async def _show_progress(members: Sequence[Member], radio: SharedRadio, ending: asyncio.Event, tell: Tell) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        fates = [fate for member in members for fate in list(member.witness.fates.values())]
        looks = [member.receiver.looks for member in members]
        late_s, left_out = max(look.late_s for look in looks), sum(look.left_out for look in looks)
        tell(
            f"{radio.stream_s:.0f} s: {len(fates)} segments, {fates.count(Fate.ACKNOWLEDGED)} acknowledged, "
            f"{fates.count(Fate.REFUSED)} refused; {sum(member.link.is_cut for member in members)} links cut; "
            f"{sum(look.heard for look in looks)} looks at the radio, {left_out} left out, {late_s:.1f} s late"
        )
        if late_s > _LATE_S and not ending.is_set():
            tell("this machine falls behind the clock: lower --listen-seconds, or raise --period-seconds")


def _allow_many_files() -> None:
    """Raise the limit of open files as far as this process may: every agent has a handful."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
