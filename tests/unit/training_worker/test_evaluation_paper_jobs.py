"""Work that is kept, and goes on after it was killed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training_worker.test_evaluation_paper import network_text
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job, with_needs
from training_worker.evaluation.paper.running import ranks, run_jobs


@dataclass(frozen=True)
class Sum(Job):
    """A number added to the sum of others; `notes` counts how often it was computed."""

    number: int
    parts: tuple["Sum", ...] = ()
    notes: Path = Path()

    @property
    def label(self) -> str:
        """Name it."""
        return f"sum {self.number}"

    @property
    def cost_s(self) -> float:
        """Give its number."""
        return float(self.number)

    @property
    def needs(self) -> tuple[Job, ...]:
        """Give the parts."""
        return self.parts

    def run(self, bench: Bench) -> Arrays:
        """Note that it ran, and add up."""
        with self.notes.open("a") as notes:
            notes.write(f"{self.number} ")
        return {"sum": np.array(self.number + sum(int(bench.arrays(part)["sum"]) for part in self.parts))}


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.toml"
    path.write_text(network_text())
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Sum:
    """Give a job that needs two jobs, which need a third."""
    notes = tmp_path / "notes"
    root = Sum(1, (), notes)
    return Sum(4, (Sum(2, (root,), notes), Sum(3, (root,), notes)), notes)


def test_each_job_comes_once_and_after_all_that_it_needs(tree: Sum) -> None:
    ordered = with_needs([tree, tree])
    assert [job.cost_s for job in ordered] == [1, 2, 3, 4]


def test_a_job_is_done_once_and_kept_for_later_runs(tree: Sum, tmp_path: Path, network_file: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        run_jobs(with_needs([tree]), tmp_path / "kept", network_file, 1, told.append)
    assert int(Bench(tmp_path / "kept", network_file).arrays(tree)["sum"]) == 11
    assert tree.notes.read_text() == "1 2 3 4 "
    assert [line.split(":")[0] for line in told] == ["[1/4] sum 1", "[2/4] sum 2", "[3/4] sum 3", "[4/4] sum 4"]


def test_a_result_that_was_cut_short_is_made_again(tree: Sum, tmp_path: Path, network_file: Path) -> None:
    bench = Bench(tmp_path / "kept", network_file)
    bench.arrays(tree)
    path = bench.path(tree)
    path.write_bytes(path.read_bytes()[:40])
    assert int(bench.arrays(tree)["sum"]) == 11
    assert tree.notes.read_text() == "4 2 1 3 4 "


def test_jobs_and_networks_that_differ_are_kept_apart(tmp_path: Path, network_file: Path) -> None:
    bench = Bench(tmp_path, network_file)
    assert bench.path(Sum(1)) == bench.path(Sum(1))
    assert bench.path(Sum(1)) != bench.path(Sum(2))
    other = tmp_path / "other.toml"
    other.write_text(network_text().replace("seed = 7", "seed = 8"))
    assert Bench(tmp_path, other).path(Sum(1)) != bench.path(Sum(1))


def test_what_the_longest_chain_waits_for_comes_first() -> None:
    jobs = [Sum(5), Sum(1), Sum(2), Sum(9)]
    assert ranks(jobs, [set(), set(), {1}, {2}]) == [5, 12, 11, 9]


def test_what_a_process_remembers_is_made_once(tmp_path: Path, network_file: Path) -> None:
    bench = Bench(tmp_path, network_file)
    first = bench.remember("key", lambda: [1])
    assert bench.remember("key", lambda: [2]) is first
