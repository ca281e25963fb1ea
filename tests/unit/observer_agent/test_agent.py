"""The agent as a whole, in this process, with real frames, real models and a real coordinator in memory."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from bandwatch.errors import UnavailableError
from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.wire.convert import to_span
from observer_agent.agent.status import read_status
from tests.unit.observer_agent.conftest import CELL, MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import HandFedReceiver
from tests.unit.observer_agent.inspected import read_inspection
from tests.unit.observer_agent.tiny_models import Publisher, expected_errors_db, expected_residuals, score_table


def running(coordinator: FakeCoordinator) -> int:
    return coordinator.reports[-1].running_serial if coordinator.reports else 0


async def test_an_agent_captures_training_data_up_to_its_target_without_a_model(
    coordinator: FakeCoordinator, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    assert coordinator.desired is not None
    coordinator.desired = coordinator.desired.model_copy(update={"training_target_s": 0.2})
    receiver = HandFedReceiver()
    for _ in range(8):
        receiver.feed(400, lost_samples=1000)  # each block becomes a segment of 0.1 s
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True)) as agent:
        await agent.task
    segments = [segment for segment, _ in coordinator.segments.values()]
    assert [segment.frame_count for segment in segments] == [400, 400]
    assert {segment.purpose for segment in segments} == {2}
    assert {(segment.scored_by_serial, segment.anomalous_windows) for segment in segments} == {(0, 0)}
    assert agent.spool.training_frames(CELL) * FRAME_SECONDS >= 0.2


@pytest.mark.parametrize(
    ("ahead", "error_s"),
    [
        (timedelta(0), 0.1),
        (None, 0.1),
        (timedelta(seconds=40), 40.0),
        (timedelta(seconds=-40), 40.0),
        (timedelta(days=300), 86_400.0),
    ],
    ids=["right", "not told", "behind", "ahead", "far behind"],
)
async def test_segments_say_how_far_the_clock_is_from_the_coordinators(
    coordinator: FakeCoordinator,
    make_settings: MakeSettings,
    start_agent: StartAgent,
    ahead: timedelta | None,
    error_s: float,
) -> None:
    coordinator.clock_ahead = ahead
    assert coordinator.desired is not None
    coordinator.desired = coordinator.desired.model_copy(update={"training_target_s": 0.1})
    receiver = HandFedReceiver()
    receiver.feed(400)
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True)) as agent:
        await agent.task
    [(segment, _)] = coordinator.segments.values()
    assert to_span(segment.clock_error).total_seconds() == pytest.approx(error_s, abs=1.0 if ahead else 1e-6)


async def test_every_anomalous_window_is_reported_and_its_segment_is_evidence(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=0.5)))  # below what noise ever gives
    receiver = HandFedReceiver()
    receiver.feed(200)
    receiver.feed(200)
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True)) as agent:
        await agent.task
    windows = (400 - 125) // 25 + 1
    assert len(coordinator.anomalies) == windows
    assert {(a.model, a.serial, a.threshold) for a in coordinator.anomalies.values()} == {("models/m3", 3, 0.5)}
    assert all((a.score, a.value) == ("error", a.error_db) for a in coordinator.anomalies.values())
    ((segment, codes),) = coordinator.segments.values()
    assert segment.purpose == 1
    assert (segment.scored_by_serial, segment.anomalous_windows) == (3, windows)
    frames = np.frombuffer(codes, dtype=np.uint8).reshape(-1, 128)
    expected = [
        expected_errors_db(frames[None, start : start + 125], scale=1, bias=0)[0] for start in range(0, 276, 25)
    ]
    reported = [coordinator.anomalies[key].error_db for key in sorted(coordinator.anomalies)]
    np.testing.assert_allclose(reported, expected, rtol=1e-4)


async def test_the_wanted_score_judges_and_every_score_is_written_down(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    tables = (score_table("error", 1000.0), score_table("band", 0.0), score_table("combined", 1000.0))
    coordinator.assign(publisher.seal(publisher.manifest(3, bias=3.0, tables=tables)))
    settings = make_settings(exit_at_end=True, score="band", inspect=make_settings().data_dir.parent / "seen")
    receiver = HandFedReceiver()
    receiver.feed(300)
    receiver.end()
    async with start_agent(receiver, settings) as agent:
        await agent.task
    lines, frames, _ = read_inspection(settings.inspect)
    anomalies = [coordinator.anomalies[key] for key in sorted(coordinator.anomalies)]
    assert len(lines) == len(anomalies) == (300 - 125) // 25 + 1
    for line, anomaly in zip(lines, anomalies, strict=True):
        window = frames[line["first_frame"] :][:125]
        residual = expected_residuals(window[None], scale=1, bias=3.0)[0]
        band = abs(residual.reshape(4, 32).mean(axis=1)).max()
        assert line["scores"].keys() == {"error", "band", "combined"}
        assert line["scores"]["error"] == line["error_db"] == pytest.approx(anomaly.error_db)
        assert line["scores"]["band"] == line["value"] == pytest.approx(band, rel=1e-4)
        assert line["scores"]["combined"] == pytest.approx(np.log(max(line["error_db"], band)), rel=1e-3)
        assert (line["score"], line["threshold"], line["anomalous"]) == ("band", 0.0, True)
        assert (anomaly.score, anomaly.value, anomaly.threshold) == ("band", line["value"], 0.0)


async def test_a_new_model_takes_over_without_a_gap(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    settings = make_settings(inspect=make_settings().data_dir.parent / "seen")
    coordinator.assign(publisher.seal(publisher.manifest(1)))
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings):
        await coordinator.until(lambda: running(coordinator) == 1)
        await receiver.feed_and_wait(500)
        coordinator.assign(publisher.seal(publisher.manifest(2, bias=5.0)))
        await coordinator.changed()
        while running(coordinator) != 2:
            await receiver.feed_and_wait(100)
        await receiver.feed_and_wait(500)
    scores, frames, predicted = read_inspection(settings.inspect)
    assert {score["serial"] for score in scores} == {1, 2}
    assert all(later["first_frame"] - earlier["first_frame"] == 25 for earlier, later in pairwise(scores))
    assert all(later["serial"] >= earlier["serial"] for earlier, later in pairwise(scores))
    for score, codes in zip(scores, predicted, strict=True):
        window = frames[score["first_frame"] :][:125]
        bias = {1: 0.0, 2: 5.0}[score["serial"]]
        np.testing.assert_allclose(
            score["error_db"], expected_errors_db(window[None], scale=1, bias=bias)[0], rtol=1e-4
        )
        np.testing.assert_allclose(codes[0], np.rint(window[:100].mean(axis=0) + bias), atol=1)


async def test_an_agent_works_on_with_its_model_while_the_coordinator_is_away(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=0.5)))
    async with start_agent(HandFedReceiver()):
        await coordinator.until(lambda: running(coordinator) == 3)
    await coordinator.stop()

    receiver = HandFedReceiver()
    async with start_agent(receiver, make_settings(exit_at_end=True)) as agent:
        await receiver.feed_and_wait(125)
        receiver.end()
        assert agent.spool.totals.held_anomalies == 1
        assert not agent.task.done()
        await coordinator.start(coordinator.port)
        await agent.task
    assert {anomaly.serial for anomaly in coordinator.anomalies.values()} == {3}


async def test_an_agent_that_may_not_watch_asks_by_itself_and_tries_again_no_sooner_than_it_asks(
    coordinator: FakeCoordinator, publisher: Publisher, start_agent: StartAgent
) -> None:
    coordinator.refuse_watches = True
    coordinator.next_poll_s = 0.5
    async with start_agent(HandFedReceiver()):
        await coordinator.until(lambda: len(coordinator.watched_at_s) >= 1)
        coordinator.assign(publisher.seal(publisher.manifest(1)))
        await coordinator.until(lambda: running(coordinator) == 1)
        await coordinator.until(lambda: len(coordinator.watched_at_s) >= 2)
    first_s, second_s, *_ = coordinator.watched_at_s
    assert second_s - first_s >= 0.5


@pytest.mark.fault(
    "samples lost by the receiver",
    "no window and no segment reaches across",
)
async def test_neither_window_nor_segment_reaches_across_lost_samples(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    assert coordinator.desired is not None
    settings = make_settings(inspect=make_settings().data_dir.parent / "seen", exit_at_end=True)
    coordinator.assign(publisher.seal(publisher.manifest(1)), training_target_s=100.0)
    receiver = HandFedReceiver()
    for frames, lost_samples in ((300, 0), (124, 5000), (260, 7000)):
        receiver.feed(frames, lost_samples=lost_samples)
    receiver.end()
    async with start_agent(receiver, settings) as agent:
        await agent.task
    scores, frames_seen, _ = read_inspection(settings.inspect)
    assert len(frames_seen) == 300 + 124 + 260
    assert [score["first_frame"] for score in scores] == [*range(0, 176, 25), *range(424, 424 + 136, 25)]
    assert sorted(segment.frame_count for segment, _ in coordinator.segments.values()) == [260, 300]
    gap_s = scores[8]["stream_s"] - scores[7]["stream_s"] - (424 - 175) * FRAME_SECONDS
    assert gap_s == pytest.approx(12_000 / 1.92e6, abs=2e-6)


async def test_a_change_of_cell_drops_the_model_and_begins_another_segment(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(1)), training_target_s=100.0)
    receiver = HandFedReceiver()
    async with start_agent(receiver):
        await coordinator.until(lambda: running(coordinator) == 1)
        await receiver.feed_and_wait(300)
        coordinator.assign(None, cell="cells/elm-street")
        await coordinator.changed()
        await coordinator.until(lambda: running(coordinator) == 0)
        await receiver.feed_and_wait(300)
    async with start_agent(HandFedReceiver(), make_settings()):
        await coordinator.until(lambda: len(coordinator.segments) == 2)
    seen = {(s.cell, s.frame_count, s.scored_by_serial) for s, _ in coordinator.segments.values()}
    assert seen == {(CELL, 300, 1), ("cells/elm-street", 300, 0)}


async def test_a_band_that_the_receiver_does_not_cover_is_said_and_the_agent_goes_on(
    coordinator: FakeCoordinator, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    settings = make_settings()
    coordinator.assign(None, center_hz=2.6e9, training_target_s=100.0)
    receiver = HandFedReceiver()
    async with start_agent(receiver, settings) as agent:
        await receiver.feed_and_wait(300)
        assert not agent.task.done()
    assert "bands/b1890 cannot be watched" in read_status(settings.data_dir).fault
    coordinator.assign(None, center_hz=receiver.center_hz)
    async with start_agent(receiver, settings) as agent:
        await receiver.feed_and_wait(300)
    assert read_status(settings.data_dir).fault == ""
    assert agent.spool.totals.held_segments == 1


async def test_the_status_file_says_what_the_agent_runs_and_holds(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    settings = make_settings(exit_at_end=True)
    coordinator.assign(publisher.seal(publisher.manifest(3)), training_target_s=100.0)
    receiver = HandFedReceiver()
    receiver.feed(1000)
    receiver.end()
    async with start_agent(receiver, settings) as agent:
        await agent.task
    status = read_status(settings.data_dir)
    assert (status.state, status.cell, status.running_serial, status.running_model) == (
        "stopped",
        CELL,
        3,
        "models/m3",
    )
    assert status.spool_made == status.spool_acknowledged == 2  # the segment and the statistics
    assert status.spool_segments == 0
    assert status.windows_scored == (1000 - 125) // 25 + 1
    assert coordinator.reports[-1].windows_scored == status.windows_scored
    assert status.training_s == pytest.approx(0.256)


@pytest.mark.fault(
    "a receiver that breaks",
    "the agent ends with the reason, and what was heard is kept",
)
async def test_a_receiver_that_breaks_ends_the_agent_with_the_reason_and_what_was_heard_is_kept(
    coordinator: FakeCoordinator, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    coordinator.assign(None, training_target_s=100.0)
    receiver = HandFedReceiver()
    receiver.feed(300)
    receiver.break_off()
    with pytest.raises(UnavailableError, match="unplugged"):
        async with start_agent(receiver, make_settings()) as agent:
            await agent.task
    assert agent.spool.training_frames(CELL) == 300
