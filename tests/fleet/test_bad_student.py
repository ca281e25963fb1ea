"""A bad student that is released by hand is stopped by its canaries; a good one reaches all, and moves little."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import ModelContent
from bandwatch.wire.content import content_from_message
from bandwatch.wire.v1.model_pb2 import (
    RELEASE_STATE_ACTIVE,
    RELEASE_STATE_ROLLED_BACK,
    TRAINING_RUN_STATE_SUCCEEDED,
    Release,
    RolloutPlan,
)
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient
from tests.fleet.conftest import ItemResult
from tests.fleet.made_models import DENSE, Forge
from tests.integration.platforms import agent, register, register_observer, running, until

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(900)]

OBSERVERS: Final = ("roof", "mast", "hill")
SHARE: Final = 0.34
"""One of three observers."""
SHORT_TIMES: Final = {
    "BANDWATCH_COORDINATOR_ROLLOUT_CANARY_SHARE": str(SHARE),
    "BANDWATCH_COORDINATOR_ROLLOUT_MINIMUM_WINDOWS": "60",
    "BANDWATCH_COORDINATOR_ROLLOUT_MINIMUM_TIME_S": "2",
    "BANDWATCH_COORDINATOR_ROLLOUT_ERROR_MARGIN_DB": "1.0",
    "BANDWATCH_COORDINATOR_ROLLOUT_FALSE_ALARM_LIMIT": "0.5",
    "BANDWATCH_COORDINATOR_ROLLOUT_FEW_IN_SHADOW": "false",
    "BANDWATCH_WORKER_THREADS": "1",
}
WITHIN_S: Final = 300.0


class Watched:
    """A platform whose observers all run a teacher."""

    def __init__(self, folder: Path, stack: LocalStack, client: AdminClient, teacher: str) -> None:
        self.folder = folder
        self.stack = stack
        self.client = client
        self.forge = Forge(stack)
        self.teacher = teacher

    @property
    def content(self) -> ModelContent:
        """What the teacher is made of."""
        return content_from_message(self.client.get_model(self.teacher).content)

    def running(self) -> dict[str, str]:
        """Return the model that each observer says that it runs."""
        return {name: self.client.get_observer(f"observers/{name}").reported.running_model for name in OBSERVERS}

    def ever_ran(self, serial: int) -> set[str]:
        """Return the observers that reported windows of a release that was in force with them."""
        with self.forge.connect() as connection:
            query = "SELECT DISTINCT observer_id FROM statistics_scores WHERE serial = %s AND NOT shadow"
            return {row[0] for row in connection.execute(query, (serial,))}

    def spans(self) -> int:
        """Return how many spans the observer has reported that has reported fewest."""
        with self.forge.connect() as connection:
            query = "SELECT observer_id, count(*) FROM statistics_scores GROUP BY observer_id"
            counts = dict(connection.execute(query).fetchall())
        return min(int(counts.get(name, 0)) for name in OBSERVERS)

    def ended(self, release: Release) -> Release:
        """Wait until the schedule has decided, and return the release."""
        final = (RELEASE_STATE_ACTIVE, RELEASE_STATE_ROLLED_BACK)
        until(lambda: self.client.get_release(release.name).state in final, "a decision", WITHIN_S)
        return self.client.get_release(release.name)

    def held(self, observer: str) -> dict[str, int]:
        """Return what an agent holds of models, by digest, in bytes."""
        blobs = BlobStore(self.folder / observer / "models" / "blobs")
        return {digest: len(blobs.read(digest)) for digest in blobs.digests()}


@contextmanager
def watched(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> Iterator[Watched]:
    """Run the platform with three agents in one cell that run a teacher of it, and have for some spans."""
    for name, value in {**SHORT_TIMES, **changes}.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as exits:
        stack = exits.enter_context(running(folder))
        client = exits.enter_context(AdminClient(stack.address, stack.operator_token, stack.authorities))
        tokens = {"roof": register(client, timedelta(seconds=16))}
        for name in OBSERVERS[1:]:
            tokens[name] = register_observer(client, name, timedelta(0))
        with agent(folder, stack, tokens["roof"], 16, EXIT_AT_END=True) as heard:
            assert heard.wait(120) == 0
        platform = Watched(folder, stack, client, train_teacher(client))
        client.create_release(platform.teacher, RolloutPlan(at_once=True))
        for name in OBSERVERS:
            listening = agent(
                folder,
                stack,
                tokens[name],
                None,
                observer=name,
                PACE="real",
                STATISTICS_SPAN_S=0.5,
                STRIDE_FRAMES=125,
                SCORE="error",
            )
            exits.enter_context(listening)
        until(lambda: set(platform.running().values()) == {platform.teacher}, "the teacher everywhere", WITHIN_S)
        until(lambda: platform.spans() >= 20, "statistics of the teacher", WITHIN_S)
        yield platform


def train_teacher(client: AdminClient) -> str:
    run = client.create_teacher_run("bands/north", family="lstm-predictor", max_epochs=1, stride_frames=50, seed=1)
    until(lambda: client.get_run(run.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the teacher trained", WITHIN_S)
    return client.get_run(run.name).model


@pytest.mark.fault(
    "a bad student, validly signed, released by hand",
    "at most the canaries run it, and it is taken back by itself",
)
def test_a_bad_student_is_stopped_by_its_canary_and_a_good_one_reaches_all_with_few_bytes(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult
) -> None:
    with watched(open_folder, monkeypatch) as platform:
        client, teacher = platform.client, platform.content
        bad = platform.forge.student("bad", teacher, cell="oak", noise=30.0)
        stopped = platform.ended(client.create_release(bad))
        assert stopped.state == RELEASE_STATE_ROLLED_BACK
        assert "taken back by itself from canary" in stopped.reason
        assert re.search(r"observers/[a-z]+: (its error is|it flags)", stopped.reason)
        assert len(platform.ever_ran(stopped.serial)) <= SHARE * len(OBSERVERS)
        until(lambda: set(platform.running().values()) == {platform.teacher}, "the teacher everywhere again", WITHIN_S)
        log = (platform.stack.folder.logs / "schedule.log").read_text()
        assert stopped.reason[:60] in log
        assert len(platform.ever_ran(stopped.serial)) == 1

        before = {name: platform.held(name) for name in OBSERVERS}
        good = platform.forge.student("good", teacher, cell="oak", noise=1e-4)
        passed = platform.ended(client.create_release(good))
        assert passed.state == RELEASE_STATE_ACTIVE, passed.reason
        until(lambda: set(platform.running().values()) == {good}, "the good student everywhere", WITHIN_S)

        whole = sum(blob.size_bytes for blob in teacher.blobs())
        changed = sum(entry.blob.size_bytes for entry in teacher.tensors if entry.name in DENSE)
        for name in OBSERVERS:
            new = {digest: size for digest, size in platform.held(name).items() if digest not in before[name]}
            manifests = sum(new.values()) - changed
            assert 0 < manifests < 10_000
            assert sum(new.values()) < whole
        moved = changed + manifests
    item_result(
        2,
        tried=f"a student with a random dense layer, then a good one, released to {len(OBSERVERS)} observers; "
        f"the bad one ran on 1 ({stopped.reason})",
        how_often=1,
        lost="nothing",
    )
    item_result(8, tried=f"a student's push moved {moved} of {whole} bytes", how_often=len(OBSERVERS), lost="nothing")


@pytest.mark.fault(
    "a bad student released where few observers watch",
    "it never leaves the shadow",
)
def test_with_few_observers_a_bad_student_does_not_leave_the_shadow(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(open_folder, monkeypatch, BANDWATCH_COORDINATOR_ROLLOUT_FEW_IN_SHADOW="true") as platform:
        bad = platform.forge.student("bad", platform.content, cell="oak", noise=30.0)
        stopped = platform.ended(platform.client.create_release(bad))
        assert stopped.state == RELEASE_STATE_ROLLED_BACK
        assert "taken back by itself from shadow" in stopped.reason
        assert platform.ever_ran(stopped.serial) == set()
        assert set(platform.running().values()) == {platform.teacher}
