"""An observer that moves: each cell is judged by its own model, and by nobody else's."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bandwatch.artifacts.manifest import Manifest
from bandwatch.identity.identity_files import load_identity
from observer_agent.agent.adoption import Adoption
from observer_agent.agent.lineup import Lineup
from observer_agent.agent.listening import Setup
from observer_agent.agent.navigation import Position
from observer_agent.agent.status import read_status
from observer_agent.detection.model import load_model
from observer_agent.models.desired import AssignedRelease, CellAssignment, DesiredState
from observer_agent.models.store import ModelStore
from observer_agent.places.place_finder import Place
from observer_agent.places.positions import Fix, ServingCell, Sighting
from observer_agent.settings import AgentSettings
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.conftest import BAND, CELL, MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import CENTER_HZ, RATE_HZ, HandFedReceiver
from tests.unit.observer_agent.inspected import read_inspection
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher

ELM, ASH, YEW = "cells/elm", "cells/ash", "cells/yew"
MIDDLES_DEG = {CELL: 0.00, ELM: 0.01, ASH: 0.02, YEW: 0.03}
"""A row of cells on the equator, 1,112 m apart."""
WINDOW_FRAMES = 125


def place_of(cell: str) -> Place:
    return Place(latitude_deg=0, longitude_deg=MIDDLES_DEG[cell], radius_m=800)


class Told:
    """A source of positions that says what the test tells it."""

    description = "positions of the test"

    def __init__(self, sighting: Sighting | None = None) -> None:
        self.sighting = sighting

    def at(self, _stream_s: float) -> Sighting | None:
        """Return what was told last."""
        return self.sighting

    def be_in(self, cell: str, *, heading_deg: float = 90.0) -> None:
        """Stand in the middle of a cell."""
        self.sighting = Fix(0.0, MIDDLES_DEG[cell], 5.0, 10.0, heading_deg)

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def positions() -> Told:
    return Told()


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path) -> AgentSettings:
    return make_settings(inspect=tmp_path / "seen", border_margin_m=10, border_time_s=0.0)


def assignment(cell: str, release: AssignedRelease | None, **more: Any) -> CellAssignment:
    fields = {"cell": cell, "band": BAND, "center_hz": CENTER_HZ, "width_hz": RATE_HZ, "place": place_of(cell), **more}
    return CellAssignment(release=release, **fields)


def sealed(
    coordinator: FakeCoordinator, repository: ReleaseRepository, serial: int, cell: str | None, **more: Any
) -> AssignedRelease:
    publisher = Publisher(coordinator, repository, BAND, cell)
    return publisher.seal(publisher.manifest(serial, threshold_db=900, bias=float(serial), **more))


@pytest.fixture
def students(coordinator: FakeCoordinator, repository: ReleaseRepository) -> dict[str, AssignedRelease]:
    """Release students 11, 12 of oak and elm and teacher 3, and say that ash has no student; nobody told of yew."""
    releases = {
        CELL: sealed(coordinator, repository, 11, CELL),
        ELM: sealed(coordinator, repository, 12, ELM),
        "teacher": sealed(coordinator, repository, 3, None),
    }
    near = (
        assignment(ELM, releases[ELM], teacher=releases["teacher"]),
        assignment(ASH, releases["teacher"]),
    )
    coordinator.assign(releases[CELL], place=place_of(CELL), neighbours=near)
    return releases


def runs(coordinator: FakeCoordinator, serial: int, cell: str) -> Callable[[], bool]:
    def is_so() -> bool:
        last = coordinator.reports[-1] if coordinator.reports else None
        return last is not None and (last.running_serial, last.cell) == (serial, cell)

    return is_so


async def test_each_cell_is_judged_by_its_own_model_and_no_window_reaches_from_one_into_the_other(
    coordinator: FakeCoordinator,
    students: dict[str, AssignedRelease],
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    coordinator.assign(students[CELL], training_target_s=100.0)
    positions.be_in(CELL)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions) as agent:
        await coordinator.until(runs(coordinator, 11, CELL))
        while agent.agent._convergence.lineup.ready < 3:
            await receiver.feed_and_wait(40)
        for cell, serial in ((CELL, 11), (ELM, 12), (ASH, 3), (ELM, 12)):
            positions.be_in(cell)
            await receiver.feed_and_wait(310)
            await coordinator.until(runs(coordinator, serial, cell))
    scores, _, _ = read_inspection(settings.inspect)
    runs_of = [(score["serial"], score["rung"]) for score in scores]
    assert [run for run, last in pairwise([*runs_of, None]) if run != last] == [
        (11, "student"),
        (12, "student"),
        (3, "teacher"),
        (12, "student"),
    ]
    for earlier, later in pairwise(scores):
        between = later["first_frame"] - earlier["first_frame"]
        if earlier["serial"] == later["serial"]:
            assert between == 25
        else:
            assert WINDOW_FRAMES <= between < WINDOW_FRAMES + 25  # nothing is unseen but what began no window
    segments = sorted((s.origin.sequence, s.cell, s.scored_by_serial) for s, _ in coordinator.segments.values())
    assert {(cell, serial) for _, cell, serial in segments} <= {(CELL, 11), (ELM, 12), (ASH, 3)}


@pytest.mark.usefixtures("students")
async def test_a_change_of_cell_needs_neither_a_download_nor_the_coordinator(
    coordinator: FakeCoordinator,
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    positions.be_in(CELL)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions) as agent:
        while agent.agent._convergence.lineup.ready < 3:
            await receiver.feed_and_wait(40)
        await coordinator.stop()
        positions.be_in(ELM)
        await receiver.feed_and_wait(310)
    scores, _, _ = read_inspection(settings.inspect)
    assert scores[-1]["serial"] == 12

    positions.be_in(ASH)  # and the next start, still without the coordinator, is in another cell
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions) as agent:
        await receiver.feed_and_wait(40)
        while agent.agent._convergence.lineup.ready < 3:
            await receiver.feed_and_wait(40)
        await receiver.feed_and_wait(310)
    scores, _, _ = read_inspection(settings.inspect)
    assert {score["serial"] for score in scores} == {3}


async def test_what_lies_ahead_is_made_ready_first_after_where_it_is_and_its_own_cell(
    coordinator: FakeCoordinator, settings: AgentSettings, start_agent: StartAgent
) -> None:
    near = tuple(assignment(cell, None) for cell in (ELM, ASH, YEW))
    coordinator.assign(None, place=place_of(CELL), neighbours=near)
    async with start_agent(HandFedReceiver(), settings) as agent:
        convergence = agent.agent._convergence
        await coordinator.until(lambda: len(coordinator.reports) > 1)
        for heading_deg, order in ((90.0, [ASH, CELL, YEW, ELM]), (270.0, [ASH, CELL, ELM, YEW])):
            convergence.moved(Position(ASH, Fix(0.0, 0.016), heading_deg))
            assert convergence._cells_in_order() == order


async def test_a_neighbours_release_that_is_older_than_one_before_is_refused(
    coordinator: FakeCoordinator,
    repository: ReleaseRepository,
    students: dict[str, AssignedRelease],
    settings: AgentSettings,
    start_agent: StartAgent,
) -> None:
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings) as agent:
        lineup = agent.agent._convergence.lineup
        while lineup.ready < 3:
            await receiver.feed_and_wait(40)
        older = sealed(coordinator, repository, 9, ELM)
        coordinator.assign(students[CELL], neighbours=(assignment(ELM, older),))
        await coordinator.changed()
        await coordinator.until(lambda: [r.code for r in coordinator.reports[-1].refused] == ["old_serial"])
        serving = lineup.serving(ELM)
        assert serving is not None
        assert serving.model.serial == 12
        assert lineup.serving(ASH) is None


@pytest.mark.usefixtures("students")
async def test_outside_of_all_cells_nothing_is_watched_and_the_status_says_why(
    coordinator: FakeCoordinator,
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    positions.be_in(CELL)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions):
        await coordinator.until(runs(coordinator, 11, CELL))
        await receiver.feed_and_wait(200)
        positions.be_in(YEW)
        await receiver.feed_and_wait(200)
        await receiver.feed_and_wait(200)
        await coordinator.until(runs(coordinator, 0, ""))
        assert coordinator.reports[-1].position.longitude_deg == MIDDLES_DEG[YEW]
    _, frames, _ = read_inspection(settings.inspect)
    assert len(frames) == 200
    assert "in no cell that it knows" in read_status(settings.data_dir).fault


@pytest.mark.usefixtures("students")
async def test_a_reported_serving_cell_goes_before_everything(
    coordinator: FakeCoordinator,
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions):
        await receiver.feed_and_wait(200)  # nothing is known: its own cell
        await coordinator.until(runs(coordinator, 11, CELL))
        positions.sighting = ServingCell(ASH)
        await receiver.feed_and_wait(200)
        await coordinator.until(runs(coordinator, 3, ASH))
        positions.sighting = ServingCell("cells/unknown")
        await receiver.feed_and_wait(200)
        await coordinator.until(runs(coordinator, 0, ""))


async def test_the_next_rung_serves_while_the_student_is_refused(
    coordinator: FakeCoordinator,
    repository: ReleaseRepository,
    settings: AgentSettings,
    start_agent: StartAgent,
) -> None:
    teacher = sealed(coordinator, repository, 3, None)
    broken = sealed(coordinator, repository, 5, CELL, off_db=1.0)
    coordinator.assign(broken, teacher=teacher)
    async with start_agent(HandFedReceiver(), settings):
        await coordinator.until(runs(coordinator, 3, CELL))
        assert [refusal.serial for refusal in coordinator.reports[-1].refused] == [5]
        assert coordinator.reports[-1].running_rung == 2
        coordinator.assign(sealed(coordinator, repository, 6, CELL), teacher=teacher)
        await coordinator.changed()
        await coordinator.until(runs(coordinator, 6, CELL))


async def test_the_global_teacher_serves_a_cell_that_has_nothing_else(
    coordinator: FakeCoordinator, repository: ReleaseRepository, settings: AgentSettings, start_agent: StartAgent
) -> None:
    everywhere = Publisher(coordinator, repository, BAND, None)
    manifest = everywhere.manifest(2).model_copy(update={"band": None})
    coordinator.assign(None, global_release=everywhere.seal(manifest))
    async with start_agent(HandFedReceiver(), settings):
        await coordinator.until(runs(coordinator, 2, CELL))
    assert coordinator.reports[-1].running_rung == 3


async def test_a_shadow_runs_beside_the_release_in_force_and_takes_over_under_its_own_serial(
    coordinator: FakeCoordinator, repository: ReleaseRepository, settings: AgentSettings, start_agent: StartAgent
) -> None:
    active, shadow = (sealed(coordinator, repository, serial, CELL) for serial in (5, 6))
    coordinator.assign(active, shadow=shadow)
    async with start_agent(HandFedReceiver(), settings):
        await coordinator.until(lambda: runs(coordinator, 5, CELL)() and coordinator.reports[-1].shadow_serial == 6)
    coordinator.reports.clear()
    async with start_agent(HandFedReceiver(), settings):
        await coordinator.until(runs(coordinator, 5, CELL))
        coordinator.assign(shadow, shadow=None)
        await coordinator.changed()
        await coordinator.until(lambda: runs(coordinator, 6, CELL)() and coordinator.reports[-1].shadow_serial == 0)
    assert not coordinator.reports[-1].refused


async def test_a_cell_on_a_band_that_the_receiver_misses_is_not_watched_and_said(
    coordinator: FakeCoordinator,
    students: dict[str, AssignedRelease],
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    far = assignment(ELM, None, band="bands/far", center_hz=2.6e9)
    coordinator.assign(students[CELL], neighbours=(far,))
    positions.be_in(CELL)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions):
        await coordinator.until(runs(coordinator, 11, CELL))
        await receiver.feed_and_wait(200)
        positions.be_in(ELM)
        await receiver.feed_and_wait(200)
        await coordinator.until(runs(coordinator, 0, ELM))
    assert "bands/far cannot be watched" in read_status(settings.data_dir).fault


@pytest.mark.usefixtures("students")
async def test_an_observer_without_a_source_of_positions_stays_in_its_cell(
    coordinator: FakeCoordinator, settings: AgentSettings, start_agent: StartAgent
) -> None:
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings):
        await coordinator.until(runs(coordinator, 11, CELL))
        await receiver.feed_and_wait(200)
    assert not coordinator.reports[-1].HasField("position")


async def test_segments_say_where_they_were_made(
    coordinator: FakeCoordinator,
    students: dict[str, AssignedRelease],
    settings: AgentSettings,
    start_agent: StartAgent,
    positions: Told,
) -> None:
    coordinator.assign(students[CELL], training_target_s=0.05)
    positions.be_in(CELL)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings, positions=positions):
        await coordinator.until(runs(coordinator, 11, CELL))
        await receiver.feed_and_wait(200)
        for _ in range(2):  # a segment is kept once the next one is complete
            await receiver.feed_and_wait(130, lost_samples=100)
        await coordinator.until(lambda: len(coordinator.segments) == 1)
    [(segment, _)] = coordinator.segments.values()
    assert (segment.context.mobility, segment.context.speed_mps, segment.context.accuracy_m) == (3, 10.0, 5.0)
    assert (segment.context.latitude_deg, segment.context.longitude_deg) == (0.0, MIDDLES_DEG[CELL])


def test_a_model_that_is_not_meant_for_a_cell_cannot_be_set_up_there(
    coordinator: FakeCoordinator, repository: ReleaseRepository
) -> None:
    publisher = Publisher(coordinator, repository, BAND, ELM)
    model = load_model(publisher.manifest(1), lambda blob: coordinator.blobs[blob.digest], threads=1)
    state = DesiredState(revision=1, training_target_s=0, **dict(assignment(CELL, None)))
    with pytest.raises(AssertionError, match="was about to judge in cells/oak-street"):
        Setup(state, model)


async def test_the_models_ahead_find_room_and_those_behind_go(
    coordinator: FakeCoordinator, repository: ReleaseRepository, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    releases = {cell: sealed(coordinator, repository, 11 + n, cell) for n, cell in enumerate((CELL, ELM, ASH, YEW))}
    manifests = {
        cell: Manifest.from_bytes(coordinator.blobs[release.manifest.digest]) for cell, release in releases.items()
    }
    one = sum(blob.size_bytes for blob in manifests[CELL].content.blobs())
    bias = next(t.blob.size_bytes for t in manifests[CELL].content.tensors if t.name == "bias")
    near = tuple(assignment(cell, releases[cell]) for cell in (ELM, ASH, YEW))
    changes: list[int] = []
    identity = load_identity(settings.identity_folder, "")
    async with Uplink(settings, identity) as uplink:
        store = ModelStore(tmp_path / "models", identity.release_root)

        def load(manifest: Manifest) -> Any:
            return load_model(manifest, store.read, threads=1)

        lineup = Lineup(
            store,
            Adoption(store, uplink, load, settings),
            limit_bytes=one + bias,  # what two have in common counts once
            on_change=lambda: changes.append(1),
        )
        lineup.desired = DesiredState(
            revision=1, training_target_s=0, neighbours=near, **dict(assignment(CELL, releases[CELL]))
        )
        coordinator.fetched.clear()
        await lineup.prepare([CELL, ELM, ASH, YEW], at_least=1)
        assert {cell for cell in MIDDLES_DEG if lineup.serving(cell)} == {CELL, ELM}
        fetched = set(coordinator.fetched)
        assert not fetched & {t.blob.digest for t in manifests[YEW].content.tensors if t.name == "bias"}
        await lineup.prepare([CELL, YEW, ELM, ASH], at_least=1)
        await lineup.tidy(releases[CELL])
        assert {cell for cell in MIDDLES_DEG if lineup.serving(cell)} == {CELL, YEW}
        held = set(store.blobs.digests())
    wanted = {blob.digest for cell in (CELL, YEW) for blob in manifests[cell].content.blobs()}
    assert held == wanted | {releases[cell].manifest.digest for cell in (CELL, YEW)}
    assert changes


def test_a_desired_state_is_kept_whole() -> None:
    state = DesiredState(
        revision=1, training_target_s=0, neighbours=(assignment(ELM, None),), **dict(assignment(CELL, None))
    )
    assert DesiredState.model_validate(json.loads(state.model_dump_json())) == state
    there = state.within(ELM)
    assert there is not None
    assert (there.cell, there.place, there.neighbours) == (ELM, place_of(ELM), ())
    assert state.within(YEW) is None
