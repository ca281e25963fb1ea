"""Pieces of work whose results are kept, so that a run that was killed goes on."""

import hashlib
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

from bandwatch.lte.network.network import paper_network, read_network
from training_worker.evaluation.paper.scenes import Listener

Arrays = dict[str, npt.NDArray[Any]]
"""What a job makes: arrays by name."""

_CODE: Final = (
    "bandwatch.lte",
    "bandwatch.spectrogram",
    "training_worker.learning",
    "training_worker.recipes",
    "training_worker.evaluation",
)
"""Packages whose sources decide what a job makes."""
_WORKING: Final = ("detecting.py", "growing.py", "jobs.py", "measuring.py", "scenes.py", "training.py")
"""Modules of this package that do; the others order jobs, and say what they made."""

_T = TypeVar("_T")


class Job(ABC):
    """A piece of work, told by a frozen dataclass: equal ones make equal arrays."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What it is, in a few words."""

    @property
    @abstractmethod
    def cost_s(self) -> float:
        """About how long it takes on one core, without what it needs."""

    @property
    def needs(self) -> tuple["Job", ...]:
        """Jobs whose results it starts from."""
        return ()

    @abstractmethod
    def run(self, bench: "Bench") -> Arrays:
        """Do it."""


class Bench:
    """Where the jobs of one process find the network, and the results of others.

    Args:
        folder: Where results are kept.
        network_file: The network; the one that comes with Bandwatch where none is given.
    """

    def __init__(self, folder: Path, network_file: Path | None) -> None:
        self.network = paper_network() if network_file is None else read_network(network_file)
        self.listener = Listener(self.network)
        self._folder = folder
        self._inputs = f"{code_digest()} {self.network.description!r}"
        self._remembered: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, job: Job, ending: str = "npz") -> Path:
        """Return where the result of a job is kept; its name is a digest of all that decides it."""
        digest = hashlib.sha256(f"{self._inputs} {job!r}".encode()).hexdigest()
        return self._folder / f"{digest[:32]}.{ending}"

    def is_done(self, job: Job) -> bool:
        """Tell whether the result of a job is kept."""
        return self.path(job).exists()

    def arrays(self, job: Job) -> Arrays:
        """Return what a job makes: what was kept, or what it makes now."""
        path = self.path(job)
        try:
            with path.open("rb") as opened, np.load(opened) as kept:
                return dict(kept)
        except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
            made = job.run(self)
        aside = path.with_suffix(f".{os.getpid()}.part")
        with aside.open("wb") as file:
            np.savez(file, **cast("dict[str, Any]", made))
        aside.replace(path)
        return made

    def remember(self, key: str, make: Callable[[], _T]) -> _T:
        """Return what was made for a key in this process before, or make it."""
        if key not in self._remembered:
            self._remembered[key] = make()
        return cast("_T", self._remembered[key])


def with_needs(jobs: Iterable[Job]) -> list[Job]:
    """Return each job once, after all that it needs."""
    ordered: dict[Job, None] = {}

    def add(job: Job) -> None:
        if job not in ordered:
            for needed in job.needs:
                add(needed)
            ordered[job] = None

    for job in jobs:
        add(job)
    return list(ordered)


@cache
def code_digest() -> str:
    """Return a digest of the sources that decide what jobs make."""
    digest = hashlib.sha256()
    for package in _CODE:
        for source in sorted(files(package).iterdir(), key=lambda entry: entry.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    for name in _WORKING:
        digest.update(files(__package__).joinpath(name).read_bytes())
    return digest.hexdigest()
