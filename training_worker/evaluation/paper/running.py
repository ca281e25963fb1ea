"""Jobs on several processes: what is kept is not done again, and what most depends on comes first."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import torch

from bandwatch.errors import FailedPreconditionError
from training_worker.evaluation.paper.jobs import Bench, Job

_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Settings of libraries that read them when they are loaded: each process computes on one core."""

Say = Callable[[str], None]


def run_jobs(ordered: Sequence[Job], folder: Path, network_file: Path | None, processes: int, say: Say) -> float:
    """Do jobs that come after all that they need, and return how many seconds of processor time it took.

    Raises:
        FailedPreconditionError: A process ended before its job.
    """
    bench = Bench(folder, network_file)
    undone = [job for job in ordered if not bench.is_done(job)]
    progress = _Progress(undone, say)
    if processes == 1:
        torch.set_num_threads(1)
        return sum(progress.done(number, _do(folder, network_file, job)) for number, job in enumerate(undone))
    with _surroundings(_ONE_THREAD):
        pool = ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )
        try:
            return _run_in(pool, undone, processes, lambda job: (folder, network_file, job), progress)
        except BrokenProcessPool as error:
            raise FailedPreconditionError(
                "a process of the evaluation ended before its work was done, perhaps for want of memory: "
                "run the same command again, and it goes on from what is done"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run_in(
    pool: ProcessPoolExecutor,
    undone: Sequence[Job],
    processes: int,
    arguments: Callable[[Job], tuple[Path, Path | None, Job]],
    progress: "_Progress",
) -> float:
    """Keep all processes at work until every job is done."""
    numbers = {job: number for number, job in enumerate(undone)}
    needs = [{numbers[needed] for needed in job.needs if needed in numbers} for job in undone]
    rank = ranks(undone, needs)
    waiting = sorted(range(len(undone)), key=lambda number: -rank[number])
    running: dict[Future[float], int] = {}
    finished: set[int] = set()
    spent_s = 0.0
    while waiting or running:
        ready = [number for number in waiting if needs[number] <= finished][: processes - len(running)]
        for number in ready:
            waiting.remove(number)
            running[pool.submit(_do, *arguments(undone[number]))] = number
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            number = running.pop(future)
            spent_s += progress.done(number, future.result())
            finished.add(number)
    return spent_s


def ranks(jobs: Sequence[Job], needs: Sequence[set[int]]) -> list[float]:
    """Return for each job what the longest chain of work that waits for it costs, itself included."""
    behind = [0.0] * len(jobs)
    for number in reversed(range(len(jobs))):
        behind[number] += jobs[number].cost_s
        for needed in needs[number]:
            behind[needed] = max(behind[needed], behind[number])
    return behind


class _Progress:
    """Tells after each job what is done, and when all will be."""

    def __init__(self, jobs: Sequence[Job], say: Say) -> None:
        self._jobs = jobs
        self._say = say
        self._started = time.monotonic()
        self._done = 0
        self._cost_done_s = 0.0
        self._cost_s = sum(job.cost_s for job in jobs)

    def done(self, number: int, seconds: float) -> float:
        """Tell that a job is done after so many seconds, and return them."""
        job = self._jobs[number]
        self._done += 1
        self._cost_done_s += job.cost_s
        spent_s = time.monotonic() - self._started
        left_s = max(0.0, spent_s * (self._cost_s / max(self._cost_done_s, 1e-9) - 1))
        left = f"{left_s / 60:.1f} min" if left_s > 60 else f"{left_s:.0f} s"  # noqa: PLR2004 - a minute
        self._say(f"[{self._done}/{len(self._jobs)}] {job.label}: {seconds:.1f} s; about {left} left")
        return seconds


def _do(folder: Path, network_file: Path | None, job: Job) -> float:
    """Do a job, and return how many seconds of processor time it took."""
    before = time.process_time()
    _bench(folder, network_file).arrays(job)
    return time.process_time() - before


@cache
def _bench(folder: Path, network_file: Path | None) -> Bench:
    return Bench(folder, network_file)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _surroundings(settings: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
