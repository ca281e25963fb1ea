"""Which releases an agent runs, and what it says of those that it does not."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bandwatch.artifacts.manifest import Manifest
from bandwatch.errors import BandwatchError, CorruptError, NotFoundError
from bandwatch.identity.identity_files import load_identity
from observer_agent.agent.adoption import Adoption
from observer_agent.detection.model import ScoringModel, SelfTestError
from observer_agent.models.desired import AssignedRelease
from observer_agent.models.store import ModelStore, OldSerialError, WrongTargetError
from observer_agent.models.trust import StaleMetadataError
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.conftest import BAND, CELL, MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import HandFedReceiver
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher


def runs(coordinator: FakeCoordinator, serial: int) -> Callable[[], bool]:
    return lambda: bool(coordinator.reports) and coordinator.reports[-1].running_serial == serial


def refusal_codes(coordinator: FakeCoordinator) -> list[tuple[int, str]]:
    return [(refusal.serial, refusal.code) for refusal in coordinator.reports[-1].refused]


async def test_an_agent_runs_the_release_that_it_is_assigned(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(7)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 7))
    assert coordinator.reports[-1].running_model == "models/m7"
    assert coordinator.reports[-1].applied_revision == 2


async def test_a_release_that_an_earlier_version_signed_still_runs(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    plain = json.loads(publisher.manifest(7, threshold_db=0.5, every_score=False).to_bytes())
    content = plain["content"]
    for later in ("scores", "default_score", "candidates", "choice"):
        del content[later]
    content["thresholds"] = [{"false_alarm_rate": 0.01, "gaussian_db": 0.5, "empirical_db": 0.25}]
    first = json.dumps({**plain, "format": "bandwatch.manifest/1"}).encode()
    coordinator.assign(publisher.seal_bytes(7, first))
    receiver = HandFedReceiver()
    async with start_agent(receiver):
        await coordinator.until(runs(coordinator, 7))
        receiver.feed(125)
        await coordinator.until(lambda: len(coordinator.anomalies) == 1)
    [anomaly] = coordinator.anomalies.values()
    assert (anomaly.score, anomaly.value, anomaly.threshold) == ("error", anomaly.error_db, 0.5)


async def test_a_push_fetches_only_the_blobs_that_changed(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    teacher = publisher.manifest(1, bias=1.0)
    student = publisher.manifest(2, bias=2.0)
    coordinator.assign(publisher.seal(teacher))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 1))
        coordinator.fetched.clear()
        release = publisher.seal(student)
        coordinator.assign(release)
        await coordinator.changed()
        await coordinator.until(runs(coordinator, 2))
    new_tensor = next(tensor.blob for tensor in student.content.tensors if tensor.name == "bias")
    assert set(coordinator.fetched) == {release.manifest.digest, new_tensor.digest}


@pytest.mark.fault(
    "a part of a model damaged on its way",
    "it is fetched again; nothing damaged runs",
)
async def test_a_blob_that_arrives_damaged_is_fetched_again(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    manifest = publisher.manifest(1)
    left = [2]

    def damage_twice(digest: str, content: bytes) -> bytes:
        if digest == manifest.content.graph.digest and left[0]:
            left[0] -= 1
            return bytes([content[0] ^ 1]) + content[1:]
        return content

    coordinator.damage = damage_twice
    coordinator.assign(publisher.seal(manifest))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 1))
    assert coordinator.fetched[manifest.content.graph.digest] == 3


def flipped_graph(publisher: Publisher) -> AssignedRelease:
    manifest = publisher.manifest(2, bias=3.0)
    bias = next(tensor.blob.digest for tensor in manifest.content.tensors if tensor.name == "bias")
    content = bytearray(publisher.coordinator.blobs[bias])
    content[17] ^= 0x40
    publisher.coordinator.blobs[bias] = bytes(content)
    return publisher.seal(manifest)


def shortened_graph(publisher: Publisher) -> AssignedRelease:
    manifest = publisher.manifest(2, bias=3.0)
    bias = next(tensor.blob.digest for tensor in manifest.content.tensors if tensor.name == "bias")
    publisher.coordinator.blobs[bias] = publisher.coordinator.blobs[bias][:-1]
    return publisher.seal(manifest)


def missing_graph(publisher: Publisher) -> AssignedRelease:
    manifest = publisher.manifest(2, bias=3.0)
    bias = next(tensor.blob.digest for tensor in manifest.content.tensors if tensor.name == "bias")
    del publisher.coordinator.blobs[bias]
    return publisher.seal(manifest)


def by_another_key(publisher: Publisher) -> AssignedRelease:
    stranger = Publisher(publisher.coordinator, ReleaseRepository(), BAND, CELL)
    return stranger.seal(stranger.manifest(2))


def for_another_cell(publisher: Publisher) -> AssignedRelease:
    neighbour = Publisher(publisher.coordinator, publisher.repository, BAND, "cells/elm-street")
    return neighbour.seal(neighbour.manifest(2))


def for_another_band(publisher: Publisher) -> AssignedRelease:
    neighbour = Publisher(publisher.coordinator, publisher.repository, "bands/b2600", None)
    return neighbour.seal(neighbour.manifest(2))


def under_another_serial(publisher: Publisher) -> AssignedRelease:
    return publisher.seal(publisher.manifest(3), serial=2)


def off_on_golden_windows(publisher: Publisher) -> AssignedRelease:
    return publisher.seal(publisher.manifest(2, off_db=0.002))


def that_answers_no_number(publisher: Publisher) -> AssignedRelease:
    manifest = publisher.manifest(2)
    broken = publisher.coordinator.add_blob(b"\x00\x00\xc0\x7f")  # float32 that is not a number
    scale, bias = manifest.content.tensors
    content = manifest.content.model_copy(update={"tensors": (scale.model_copy(update={"blob": broken}), bias)})
    return publisher.seal(manifest.model_copy(update={"content": content}))


def no_graph_at_all(publisher: Publisher) -> AssignedRelease:
    manifest = publisher.manifest(2)
    graph = publisher.coordinator.add_blob(b"this is no graph")
    return publisher.seal(manifest.model_copy(update={"content": manifest.content.model_copy(update={"graph": graph})}))


@pytest.mark.fault(
    "a model that is corrupt, of another cell, off on its golden windows, or answers no numbers",
    "refused with a code; the model in force stays",
)
@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (flipped_graph, "corrupt"),
        (shortened_graph, "corrupt"),
        (missing_graph, "not_found"),
        (by_another_key, "not_released"),
        (for_another_cell, "wrong_target"),
        (for_another_band, "wrong_target"),
        (under_another_serial, "wrong_target"),
        (off_on_golden_windows, "self_test_failed"),
        (that_answers_no_number, "self_test_failed"),
        (no_graph_at_all, "corrupt"),
    ],
)
async def test_a_release_that_cannot_be_believed_is_refused_and_the_model_in_force_stays(
    coordinator: FakeCoordinator,
    publisher: Publisher,
    start_agent: StartAgent,
    offer: Callable[[Publisher], AssignedRelease],
    code: str,
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(1)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 1))
        coordinator.assign(offer(publisher))
        await coordinator.changed()
        await coordinator.until(lambda: len(coordinator.reports[-1].refused) == 1)
        last = coordinator.reports[-1]
        assert refusal_codes(coordinator) == [(2, code)]
        assert last.refused[0].reason
        assert (last.running_serial, last.running_model) == (1, "models/m1")
        assert last.applied_revision == 2

        coordinator.assign(publisher.seal(publisher.manifest(4, bias=4.0)))
        await coordinator.changed()
        await coordinator.until(runs(coordinator, 4))


@pytest.mark.parametrize("offer", [missing_graph, flipped_graph])
async def test_a_release_is_taken_up_once_the_coordinators_store_is_whole_again(
    coordinator: FakeCoordinator,
    publisher: Publisher,
    make_settings: MakeSettings,
    start_agent: StartAgent,
    offer: Callable[[Publisher], AssignedRelease],
) -> None:
    coordinator.next_poll_s = 0.1
    publisher.manifest(2, bias=3.0)
    whole = dict(coordinator.blobs)
    coordinator.assign(offer(publisher))
    async with start_agent(HandFedReceiver(), make_settings(refused_retry_s=0.05)):
        await coordinator.until(lambda: len(coordinator.reports[-1].refused) == 1 if coordinator.reports else False)
        coordinator.blobs.update(whole)
        await coordinator.until(runs(coordinator, 2))
    assert not coordinator.reports[-1].refused


@pytest.mark.parametrize(
    ("kind", "tries"),
    [
        (CorruptError, 2),
        (NotFoundError, 2),
        (SelfTestError, 1),
        (StaleMetadataError, 2),
        (WrongTargetError, 1),
        (OldSerialError, 1),
    ],
)
async def test_only_what_a_broken_store_may_have_caused_is_tried_again(
    coordinator: FakeCoordinator,
    publisher: Publisher,
    make_settings: MakeSettings,
    tmp_path: Path,
    kind: type[BandwatchError],
    tries: int,
) -> None:
    settings = make_settings(refused_retry_s=1e-9)
    tried = []

    def load(manifest: Manifest) -> ScoringModel:
        tried.append(manifest.serial)
        raise kind("not this one")

    coordinator.assign(publisher.seal(publisher.manifest(2)))
    assert coordinator.desired is not None
    assert coordinator.desired.release is not None
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        store = ModelStore(tmp_path / "models", load_identity(settings.identity_folder, "").release_root)
        adoption = Adoption(store, uplink, load, settings)
        for _ in range(2):
            assert await adoption.adopt(coordinator.desired.release, coordinator.desired) is None
    assert tried == [2] * tries
    assert [(refusal.serial, refusal.code) for refusal in adoption.refusals] == [(2, kind.code)]


async def test_tries_for_a_missing_blob_are_apart(
    coordinator: FakeCoordinator,
    publisher: Publisher,
    make_settings: MakeSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    settings = make_settings(retry_base_s=0.05, retry_cap_s=1.0)
    coordinator.assign(missing_graph(publisher))
    assert coordinator.desired is not None
    assert coordinator.desired.release is not None
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        store = ModelStore(tmp_path / "models", load_identity(settings.identity_folder, "").release_root)
        began_s = time.monotonic()
        await Adoption(store, uplink, _no_load, settings).adopt(coordinator.desired.release, coordinator.desired)
    assert time.monotonic() - began_s >= 0.05 + 0.1


def _no_load(_: Manifest) -> ScoringModel:
    raise AssertionError("its blobs are not all there")


@pytest.mark.fault(
    "an older release offered after a restart",
    "it is refused",
)
async def test_an_older_release_is_refused_even_after_a_restart(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(5)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 5))
    coordinator.assign(publisher.seal(publisher.manifest(4)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(lambda: len(coordinator.reports[-1].refused) == 1)
    assert refusal_codes(coordinator) == [(4, "old_serial")]
    assert coordinator.reports[-1].running_serial == 5


async def test_another_manifest_of_a_known_serial_is_refused(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(5)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 5))
        coordinator.assign(publisher.seal(publisher.manifest(5, bias=1.0)))
        await coordinator.changed()
        await coordinator.until(lambda: len(coordinator.reports[-1].refused) == 1)
    assert refusal_codes(coordinator) == [(5, "old_serial")]


async def test_an_observer_that_comes_back_to_a_cell_takes_up_the_release_that_it_had_there(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    here = publisher.seal(publisher.manifest(5))
    neighbour = Publisher(coordinator, publisher.repository, BAND, "cells/elm-street")
    there = neighbour.seal(neighbour.manifest(9))
    coordinator.assign(here)
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 5))
        coordinator.assign(there, cell="cells/elm-street")
        await coordinator.changed()
        await coordinator.until(runs(coordinator, 9))
        coordinator.assign(here, cell=CELL)
        await coordinator.changed()
        await coordinator.until(runs(coordinator, 5))
    assert not coordinator.reports[-1].refused


async def test_a_teacher_of_the_band_runs_in_every_cell_of_it(
    coordinator: FakeCoordinator, repository: ReleaseRepository, start_agent: StartAgent
) -> None:
    teacher = Publisher(coordinator, repository, BAND, None)
    coordinator.assign(teacher.seal(teacher.manifest(3)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 3))


@pytest.mark.fault(
    "a download that breaks off",
    "it goes on where it stopped",
)
async def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    manifest = publisher.manifest(1)
    release = publisher.seal(manifest)
    coordinator.assign(release)
    coordinator.break_fetch_after = [10**6, 10**6, 10**6, 8192]  # the bias, of 12,800 bytes, comes last
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 1))
    assert coordinator.fetch_offsets == [0, 0, 0, 0, 8192]


async def test_blobs_of_neither_the_active_nor_the_previous_release_are_removed(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    manifests = [publisher.manifest(serial, bias=float(serial)) for serial in (1, 2, 3)]
    releases = [publisher.seal(manifest) for manifest in manifests]
    async with start_agent(HandFedReceiver()) as running:
        for release in releases:
            coordinator.assign(release)
            await coordinator.changed()
            await coordinator.until(runs(coordinator, release.serial))
        held = set(running.store.blobs.digests())
    wanted = {release.manifest.digest for release in releases[1:]}
    wanted |= {blob.digest for manifest in manifests[1:] for blob in manifest.content.blobs()}
    assert held == wanted


@pytest.mark.fault(
    "a model that rotted on the observer's disk",
    "it is found out at the start and fetched again",
)
async def test_a_model_that_rotted_on_disk_is_fetched_again(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    manifest = publisher.manifest(1)
    coordinator.assign(publisher.seal(manifest))
    async with start_agent(HandFedReceiver()) as running:
        await coordinator.until(runs(coordinator, 1))
        graph = running.store.blobs.path(manifest.content.graph.digest)
    content = bytearray(graph.read_bytes())
    content[100] ^= 1
    graph.write_bytes(content)
    coordinator.reports.clear()
    async with start_agent(HandFedReceiver()):
        await coordinator.until(runs(coordinator, 1))
    assert coordinator.fetched[manifest.content.graph.digest] == 2
