"""Whoever stands between coordinator and observers, or stole a key, makes no observer run what was not released."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bandwatch.artifacts.signing import OnlineKeys, new_key
from observer_agent.models.desired import AssignedRelease
from tests.fleet.conftest import ItemResult
from tests.unit.observer_agent.conftest import (
    BAND,
    CELL,
    MakeSettings,
    StartAgent,
    coordinator,
    make_settings,
    publisher,
    repository,
    start_agent,
)
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import HandFedReceiver
from tests.unit.observer_agent.hostile_repository import HostileRepository, bin_file, role_file
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher

__all__ = ["coordinator", "make_settings", "publisher", "repository", "start_agent"]

pytestmark = pytest.mark.fleet


@dataclass
class Scene:
    """An observer runs release 2 of its cell; releases 1 and 2 are named, and were `first` and `second` there."""

    coordinator: FakeCoordinator
    publisher: Publisher
    first: AssignedRelease
    second: AssignedRelease
    files_before: dict[str, bytes]

    @property
    def repository(self) -> ReleaseRepository:
        """The honest repository."""
        return self.publisher.repository

    def hostile(self) -> HostileRepository:
        """Put a copy of the honest repository in its place, for the attack to change."""
        hostile = HostileRepository(self.repository)
        self.coordinator.metadata = hostile.files
        return hostile

    def evil(self, serial: int = 3) -> tuple[AssignedRelease, bytes]:
        """Return a release that nobody signed for, whose blobs the coordinator's store holds, and its manifest."""
        manifest = self.publisher.manifest(serial, bias=66.0).to_bytes()
        return AssignedRelease(serial=serial, manifest=self.coordinator.add_blob(manifest)), manifest

    def honest(self, serial: int = 3) -> AssignedRelease:
        """Release something as the coordinator does."""
        return self.publisher.seal(self.publisher.manifest(serial, bias=float(serial)))


def replay_of_a_manifest_that_ran_before(scene: Scene) -> AssignedRelease:
    return scene.first


def replay_of_a_release_that_was_withdrawn(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.repository.withdraw(3)
    return release


def replay_of_all_metadata_of_before(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.coordinator.metadata = scene.files_before
    return release


def manifest_for_another_cell(scene: Scene) -> AssignedRelease:
    neighbour = Publisher(scene.coordinator, scene.repository, BAND, "cells/elm-street")
    return neighbour.seal(neighbour.manifest(3, bias=3.0))


def manifest_for_another_band(scene: Scene) -> AssignedRelease:
    neighbour = Publisher(scene.coordinator, scene.repository, "bands/b2600", None)
    return neighbour.seal(neighbour.manifest(3, bias=3.0))


def manifest_under_another_serial(scene: Scene) -> AssignedRelease:
    return scene.publisher.seal(scene.publisher.manifest(4), serial=3)


def tensors_of_two_models_in_one_manifest(scene: Scene) -> AssignedRelease:
    one, other = (scene.publisher.manifest(3, bias=bias) for bias in (3.0, 66.0))
    scene.publisher.seal(one)
    tensors = (one.content.tensors[0], other.content.tensors[1])
    mixed = one.model_copy(update={"content": one.content.model_copy(update={"tensors": tensors})})
    return AssignedRelease(serial=3, manifest=scene.coordinator.add_blob(mixed.to_bytes()))


def tensors_of_another_model_from_the_store(scene: Scene) -> AssignedRelease:
    one, other = (scene.publisher.manifest(3, bias=bias) for bias in (3.0, 66.0))
    blobs = scene.coordinator.blobs
    blobs[one.content.tensors[1].blob.digest] = blobs[other.content.tensors[1].blob.digest]
    return scene.publisher.seal(one)


def metadata_of_two_states(scene: Scene) -> AssignedRelease:
    before = bin_file(scene.repository, 3)
    release = scene.honest()
    scene.hostile().replace(before.role, before.content)
    return release


def freeze(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.repository.refresh(datetime.now(UTC) - timedelta(days=2))
    scene.hostile()
    return release


def timestamp_without_end(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.hostile().replace("timestamp", b" " * (5 << 10))
    return release


def file_that_no_message_holds(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.hostile().replace("timestamp", b" " * (9 << 20))
    return release


def manifest_without_end(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    scene.coordinator.blobs[release.manifest.digest] += b" " * (1 << 20)
    return release


def change_of_a_byte(scene: Scene) -> AssignedRelease:
    release = scene.honest()
    timestamp = bytearray(role_file(scene.repository, "timestamp").content)
    timestamp[timestamp.index(b'"version":') + 10] ^= 1
    scene.hostile().replace("timestamp", bytes(timestamp))
    return release


def theft_of_the_key_that_dates(scene: Scene) -> AssignedRelease:
    release, manifest = scene.evil()
    dating = scene.repository.keys.dating
    scene.hostile().name_with(OnlineKeys(dating, dating), 3, manifest)
    return release


def theft_of_the_key_that_names(scene: Scene) -> AssignedRelease:
    release, manifest = scene.evil()
    naming = scene.repository.keys.naming
    scene.hostile().name_with(OnlineKeys(naming, naming), 3, manifest)
    return release


def keys_of_a_stranger(scene: Scene) -> AssignedRelease:
    release, manifest = scene.evil()
    scene.hostile().name_with(OnlineKeys(new_key(), new_key()), 3, manifest)
    return release


def keys_that_were_rotated_out(scene: Scene) -> AssignedRelease:
    release, manifest = scene.evil()
    old = scene.repository.keys
    scene.repository.rotate_signing_keys()
    scene.hostile().name_with(old, 3, manifest)
    return release


def root_by_the_online_keys(scene: Scene) -> AssignedRelease:
    stranger = ReleaseRepository()
    release, manifest = scene.evil()
    stranger.name(3, manifest)
    scene.coordinator.metadata = dict(stranger.files)
    scene.coordinator.metadata["2.root.json"] = stranger.pinned.replace(b'"version":1', b'"version":2')
    return release


ATTACKS: list[tuple[Callable[[Scene], AssignedRelease], str]] = [
    (replay_of_a_manifest_that_ran_before, "old_serial"),
    (replay_of_a_release_that_was_withdrawn, "not_released"),
    (replay_of_all_metadata_of_before, "old_metadata"),
    (manifest_for_another_cell, "wrong_target"),
    (manifest_for_another_band, "wrong_target"),
    (manifest_under_another_serial, "wrong_target"),
    (tensors_of_two_models_in_one_manifest, "not_released"),
    (tensors_of_another_model_from_the_store, "corrupt"),
    (metadata_of_two_states, "mixed_metadata"),
    (freeze, "stale_metadata"),
    (timestamp_without_end, "endless_metadata"),
    (file_that_no_message_holds, "endless_metadata"),
    (manifest_without_end, "corrupt"),
    (change_of_a_byte, "bad_signature"),
    (theft_of_the_key_that_dates, "bad_signature"),
    (theft_of_the_key_that_names, "bad_signature"),
    (keys_of_a_stranger, "bad_signature"),
    (keys_that_were_rotated_out, "bad_signature"),
    (root_by_the_online_keys, "bad_signature"),
]
WITH_A_STOLEN_KEY = (theft_of_the_key_that_dates, theft_of_the_key_that_names)


@pytest.fixture
def scene(coordinator: FakeCoordinator, publisher: Publisher) -> Scene:
    """Give a coordinator that has released twice."""
    first = publisher.seal(publisher.manifest(1, bias=1.0))
    files_before = dict(publisher.repository.files)
    second = publisher.seal(publisher.manifest(2, bias=2.0, threshold_db=0.5))
    return Scene(coordinator, publisher, first, second, files_before)


@pytest.mark.fault(
    "releases rolled back, mixed, frozen, endless, tampered with, or signed by stolen keys",
    "refused with a code and reported; the model in force stays; the next honest release runs",
)
@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
async def test_an_attack_is_refused_and_reported_and_the_next_honest_release_runs(
    scene: Scene,
    make_settings: MakeSettings,
    start_agent: StartAgent,
    attack: Callable[[Scene], AssignedRelease],
    code: str,
    item_result: ItemResult,
) -> None:
    fake = scene.coordinator
    fake.next_poll_s = 0.1
    async with start_agent(HandFedReceiver(), make_settings(refused_retry_s=0.1)):
        for release in (scene.first, scene.second):
            fake.assign(release)
            await fake.changed()
            await fake.until(lambda serial=release.serial: running(fake) == serial)  # type: ignore[misc]
        offered = attack(scene)
        fake.assign(offered)
        await fake.changed()
        await fake.until(lambda: bool(fake.reports[-1].refused))
        [refusal] = fake.reports[-1].refused
        assert (refusal.serial, refusal.code) == (offered.serial, code)
        assert refusal.reason
        assert running(fake) == 2
        fake.metadata = scene.repository.files
        if attack in WITH_A_STOLEN_KEY:  # its timestamps were genuine, and may be ahead of the honest ones
            scene.repository.rotate_signing_keys()
        scene.repository.refresh()
        fake.assign(scene.honest(9))
        await fake.changed()
        await fake.until(lambda: running(fake) == 9)
    item_result(1, tried=f"{attack.__name__.replace('_', ' ')} ({code})", how_often=1, lost="nothing")


def running(fake: FakeCoordinator) -> int:
    return fake.reports[-1].running_serial if fake.reports else 0


@pytest.mark.fault(
    "versions driven forward with a stolen key",
    "the next rotation of keys ends it",
)
async def test_a_fast_forward_with_a_stolen_key_ends_with_the_next_rotation(
    scene: Scene,
    make_settings: MakeSettings,
    start_agent: StartAgent,
    item_result: ItemResult,
) -> None:
    fake = scene.coordinator
    fake.next_poll_s = 0.1
    fake.assign(scene.second)
    async with start_agent(HandFedReceiver(), make_settings(refused_retry_s=0.1)):
        await fake.until(lambda: running(fake) == 2)
        scene.hostile().date_with(scene.repository.keys, version=2**31 - 1)
        fake.assign(scene.evil()[0])
        await fake.changed()
        await fake.until(lambda: [refusal.code for refusal in fake.reports[-1].refused] == ["not_released"])
        fake.metadata = scene.repository.files
        fake.assign(scene.honest(5))
        await fake.changed()
        await fake.until(lambda: "old_metadata" in [refusal.code for refusal in fake.reports[-1].refused])
        scene.repository.rotate_signing_keys()
        await fake.until(lambda: running(fake) == 5)
    item_result(1, tried="fast-forward with the key that dates, ended by a rotation", how_often=1, lost="nothing")


@pytest.mark.fault(
    "an observer that is shown old metadata for ever",
    "the model in force goes on, also over a restart; nothing newer is believed",
)
async def test_a_model_in_force_goes_on_and_starts_again_while_everything_is_frozen(
    scene: Scene,
    start_agent: StartAgent,
    item_result: ItemResult,
) -> None:
    fake = scene.coordinator
    fake.assign(scene.second)
    async with start_agent(HandFedReceiver()):
        await fake.until(lambda: running(fake) == 2)
    scene.repository.refresh(datetime.now(UTC) - timedelta(days=2))
    fake.reports.clear()
    receiver = HandFedReceiver()
    async with start_agent(receiver):
        await fake.until(lambda: running(fake) == 2)
        receiver.feed(125)
        await fake.until(lambda: bool(fake.anomalies))
    assert {anomaly.serial for anomaly in fake.anomalies.values()} == {2}
    assert not fake.reports[-1].refused
    assert CELL in {anomaly.cell for anomaly in fake.anomalies.values()}
    item_result(1, tried="a restart while metadata is frozen", how_often=1, lost="nothing")


async def test_an_older_model_that_is_released_again_is_taken_up(
    scene: Scene,
    start_agent: StartAgent,
    item_result: ItemResult,
) -> None:
    fake = scene.coordinator
    fake.assign(scene.second)
    async with start_agent(HandFedReceiver()):
        await fake.until(lambda: running(fake) == 2)
        again = scene.publisher.manifest(3, bias=1.0).model_copy(update={"model": "models/m1"})
        fake.assign(scene.publisher.seal(again))
        await fake.changed()
        await fake.until(lambda: running(fake) == 3)
    assert fake.reports[-1].running_model == "models/m1"
    assert not fake.reports[-1].refused
    item_result(1, tried="a signed way back to an older model, which is no attack", how_often=1, lost="nothing")
