"""How soon the observers of a cell run a student after it was released: agents by the hundred, one coordinator.

Each agent is the control side of a real one, with an identity, a connection and a folder of its own: it watches, asks
what it is to be, fetches and verifies signed metadata, fetches the blobs that it lacks, loads the model in onnxruntime,
sees that it computes what the manifest promises, switches durably, and reports. It hears no radio. The clock runs from
the operator's call to the switch in each agent, all of whom are in one cell. Processes of this script hold some of the
agents each, on the same machine as the coordinator.

The alternative stands for the physical limit: the same number of models loaded and checked by as many processes, from
files, without any network. Agents of a real fleet do that on processors of their own.
"""

import argparse
import asyncio
import json
import multiprocessing
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import structlog
import torch
from psycopg.types.json import Jsonb

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import Manifest, ModelContent, TensorEntry
from bandwatch.errors import UnavailableError
from bandwatch.identity.identity_files import Identity
from bandwatch.wire.v1.model_pb2 import RolloutPlan
from benchmarks.members import Fleet, cpu_s, fleet_of, spent_s
from observer_agent.agent.adoption import Adoption
from observer_agent.agent.convergence import Convergence
from observer_agent.detection.model import load_model
from observer_agent.models.store import ModelStore
from observer_agent.settings import AgentSettings
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Report
from operator_console.coordinator_client import AdminClient
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import LstmConfig, new_predictor
from training_worker.recipes.families import solve_from
from training_worker.recipes.trained import Origin, trained_model

AGENTS: Final = (200, 1000)
PROCESSES: Final = 2
CELL: Final = "cells/first"
PATIENCE_S: Final = 600.0
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Releasing:
    """Students released to so many agents, one after the other.

    Attributes:
        agents: How many.
        first_s: Seconds to the switch of each agent, for the first model, of which they had nothing.
        switched_s: The same for the students that followed, which share its graph and body: each release a list.
        coordinator_ms: Processor time of the coordinator for each agent and release.
        agents_ms: That of the agent itself.
        loading_s: Seconds in which as many models are loaded and checked from files.
    """

    agents: int
    first_s: list[float]
    switched_s: list[list[float]]
    coordinator_ms: float
    agents_ms: float
    loading_s: float


def main() -> None:
    """Release students and print when agents ran them, as a Markdown table."""
    options = _parse()
    if options.hold:
        asyncio.run(_hold(*pickle.loads(options.hold.read_bytes())))  # noqa: S301 - written by this script
        return
    found = [_measure(agents, options) for agents in options.agents]
    print(_table(found))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--agents", type=int, nargs="+", default=list(AGENTS))
    parser.add_argument("--repeats", type=int, default=5, help="students released after the first model")
    parser.add_argument(
        "--database-url", help="PostgreSQL to make a database on, as an administrator; one of its own when absent"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="for the files of all of them; the system's temporary one when absent",
    )
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--hold", type=Path, metavar="FILE", help="be agents, as a file of this script says")
    return parser.parse_args()


class _ControlSide:
    """What of an agent deals with the coordinator, without a radio."""

    def __init__(self, identity: Identity, folder: Path, uplink: Uplink, settings: AgentSettings) -> None:
        self._serial = 0
        store = ModelStore(folder / "models", identity.release_root)
        load = partial(load_model, read_blob=store.read, threads=1)
        self._convergence = Convergence(
            folder / "desired.json",
            store,
            uplink,
            Adoption(store, uplink, load, settings),
            model_cache_bytes=settings.model_cache_mb * _MEGABYTE,
            make_report=self._report,
            on_plan=lambda _: self._look(),
            on_orders=lambda _: None,
        )

    async def run(self) -> None:
        """Become what the coordinator wants, without end."""
        async with asyncio.TaskGroup() as group:
            for work in (self._convergence.sync, self._convergence.watch, self._convergence.look_ahead):
                group.create_task(_keep_doing(work))

    def _look(self) -> None:
        """Write a line when another release is in force."""
        in_force = self._convergence.in_force
        serial = 0 if in_force is None else in_force.release.serial
        if serial != self._serial:
            self._serial = serial
            print(serial, time.time(), flush=True)

    def _report(self) -> Report:
        convergence = self._convergence
        in_force = convergence.in_force
        return Report(
            agent_version="benchmark",
            applied_revision=convergence.applied_revision,
            running_serial=in_force.model.serial if in_force else 0,
            running_model=in_force.model.name if in_force else "",
            refused=convergence.refusals,
            spooled_segments=0,
            spooled_bytes=0,
            windows_scored=0,
            anomalies_found=0,
            cell=convergence.cell or "",
            running_since_at=in_force.since_at if in_force else None,
        )


async def _keep_doing(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        with suppress(UnavailableError):
            await work()


async def _hold(members: Sequence[Identity], folder: Path) -> None:
    """Be these agents, and write a line for each switch of each."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for number, member in enumerate(members):
            own = folder / str(number)
            (own / "models").mkdir(parents=True)
            settings = AgentSettings.from_options({"data_dir": own, "simulate": folder / "plan"})
            uplink = await stack.enter_async_context(Uplink(settings, member))
            group.create_task(_ControlSide(member, own, uplink, settings).run())


class _Agents:
    """Processes that hold the agents of a fleet."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"], agents: int) -> None:
        self._processes = processes
        self._each = agents // len(processes)
        self.by_id = [psutil.Process(process.pid) for process in processes]

    def switched(self, serial: int) -> list[float]:
        """Wait until every agent runs a release, and return at which times they switched to it."""
        return [at_s for process in self._processes for at_s in self._of_process(process, serial)]

    def _of_process(self, process: "subprocess.Popen[str]", serial: int) -> list[float]:
        assert process.stdout is not None
        found: list[float] = []
        for line in process.stdout:
            switched, at_s = line.split()
            if int(switched) == serial:
                found.append(float(at_s))
            if len(found) == self._each:
                return found
        raise RuntimeError("agents have ended")


@contextmanager
def _agents(members: Sequence[Identity], folder: Path) -> Iterator[_Agents]:
    with ExitStack() as stack:
        each = len(members) // PROCESSES
        processes = []
        for number in range(PROCESSES):
            own = folder / f"agents-{number}"
            own.mkdir()
            plan = own / "plan"
            plan.write_bytes(pickle.dumps((members[number * each : (number + 1) * each], own)))
            command = [sys.executable, __file__, "--hold", str(plan)]
            log = stack.enter_context((own / "log").open("w"))
            held = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            processes.append(stack.enter_context(held))
            stack.callback(processes[-1].kill)
        yield _Agents(processes, each * PROCESSES)


def _measure(agents: int, options: argparse.Namespace) -> Releasing:
    settings = {"WATCH_LIMIT": str(2 * agents)}
    with (
        tempfile.TemporaryDirectory(dir=options.folder, prefix="bandwatch-agents-") as folder,
        fleet_of(agents, settings, database_url=options.database_url, folder=options.folder) as fleet,
        AdminClient(fleet.stack.address, fleet.stack.operator_token, fleet.stack.authorities) as client,
    ):
        with fleet.connect() as connection:
            connection.execute("UPDATE observers SET cell_id = 'first' WHERE id LIKE 'o-%%'")
        models = _Models(fleet)
        with _agents(fleet.members, Path(folder)) as held:
            first_s = _release(client, held, models.register("first", noise=0.0))
            print(f"{agents} agents run their first model after {max(first_s):.1f} s", flush=True)
            before, agents_before = cpu_s([fleet.coordinator]), cpu_s(held.by_id)
            switched_s = []
            for number in range(options.repeats):
                switched_s.append(_release(client, held, models.register(f"student-{number}", noise=1e-3)))
                print(f"{agents} agents run student {number} after {max(switched_s[-1]):.1f} s", flush=True)
            each = agents * options.repeats / 1000
            coordinator_ms = spent_s(before, cpu_s([fleet.coordinator])) / each
            agents_ms = spent_s(agents_before, cpu_s(held.by_id)) / each
        loading_s = _loading_s(models, agents)
    return Releasing(agents, first_s, switched_s, coordinator_ms, agents_ms, loading_s)


def _release(client: AdminClient, held: _Agents, model: str) -> list[float]:
    """Release a model, and return after how many seconds each agent ran it."""
    begin_s = time.time()
    release = client.create_release(model, RolloutPlan(at_once=True))
    return sorted(at_s - begin_s for at_s in held.switched(release.serial))


class _Models:
    """Students of one body for the cell; each has a dense layer of its own, and says truly what it computes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.folder = fleet.stack.data_dir / "blobs" / "models"
        self._blobs = BlobStore(self.folder)
        random = np.random.default_rng(1)
        windows = WindowSet.cut([random.integers(60, 140, (2000, 128)).astype(np.uint8)], 25, 0)
        self._windows = windows
        self._body = new_predictor(LstmConfig(), seed=1)

    def register(self, name: str, *, noise: float) -> str:
        """Register a model in the database and the store."""
        self.content = self._content(name, noise)
        with self._fleet.connect() as connection:
            connection.execute(
                "INSERT INTO models (id, band_id, cell_id, content) VALUES (%s, 'north', 'first', %s)",
                (name, Jsonb(self.content.model_dump(mode="json"))),
            )
        return f"models/{name}"

    def _content(self, name: str, noise: float) -> ModelContent:
        solved = solve_from(self._body, self._windows, lambda _: None)
        torch.manual_seed(len(name) + sum(name.encode()))
        with torch.no_grad():
            solved.predictor.dense.weight.add_(noise * torch.randn_like(solved.predictor.dense.weight))
        made = trained_model(solved.predictor, solved.rest, Origin())
        tensors = tuple(
            TensorEntry(name=tensor, shape=values.shape, blob=self._blobs.write(np.ascontiguousarray(values).tobytes()))
            for tensor, values in made.tensors.items()
        )
        return ModelContent(
            family=made.family,
            graph=self._blobs.write(made.graph),
            tensors=tensors,
            frozen_layers=LstmConfig.layers,
            error=made.error,
            scores=made.scores,
            default_score=made.default_score,
            golden_errors_db=made.golden_errors_db,
        )


def _loading_s(models: _Models, agents: int) -> float:
    """Return how long as many processes take to load and check the newest model for each agent, from files."""
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        work = [(models.content, models.folder, agents // PROCESSES)] * PROCESSES
        list(pool.map(_load, [(content, root, 1) for content, root, _ in work]))  # imports are done
        begin_s = time.perf_counter()
        list(pool.map(_load, work))
        return time.perf_counter() - begin_s


def _load(work: tuple[ModelContent, Path, int]) -> None:
    content, root, count = work
    blobs = BlobStore(root)
    now = datetime.now(UTC)
    manifest = Manifest(
        serial=1, model="models/m", band=None, cell=None, parent=None, run="runs/r", content=content, created_at=now
    )
    for _ in range(count):
        load_model(manifest, read_blob=lambda reference: blobs.read(reference.digest), threads=1)


def _table(found: Sequence[Releasing]) -> str:
    lines = [
        "| agents | release | half, s | 95 %, s | all, s | coordinator, ms each | agent, ms each | loading alone, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        lines.append(f"| {one.agents} | first model | {_percentiles([one.first_s])} | | | |")
        lines.append(
            f"| {one.agents} | student | {_percentiles(one.switched_s)} | {one.coordinator_ms:.1f} "
            f"| {one.agents_ms:.0f} | {one.loading_s:.1f} |"
        )
    return "\n".join(lines)


def _percentiles(releases: Sequence[Sequence[float]]) -> str:
    """Return the median, the 95 % and the 100 % quantile of each release, with their spread over releases."""
    each = np.quantile(np.array(releases), (0.5, 0.95, 1.0), axis=1)
    return " | ".join(_spread(values.tolist()) for values in each)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
