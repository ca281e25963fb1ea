"""Anomalous windows become events: when they are raised and over, and what is said of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import INPUT_FRAMES, WINDOW_FRAMES
from observer_agent.detection.events import Debounce, EventRules, EventTracker
from observer_agent.detection.pipeline import Run
from tests.unit.observer_agent.followed_events import STRIDE, batches_of, follow

RULES = st.integers(1, 12).flatmap(
    lambda n: st.integers(1, n).flatmap(
        lambda m: st.builds(EventRules, st.just(n), st.just(m), st.integers(0, m - 1))  # raised by more than clears
    )
)


def slowly(rules: EventRules, flags: list[bool]) -> list[bool]:
    """Tell after each window whether an event goes on.

    It does from the last time that enough windows raised one, unless few enough were anomalous at some time since.
    """
    counts = [sum(flags[max(0, index + 1 - rules.windows) : index + 1]) for index in range(len(flags))]
    state = []
    for index in range(len(flags)):
        raised = [at for at in range(index + 1) if counts[at] >= rules.raise_at]
        cleared = [at for at in range(index + 1) if counts[at] <= rules.clear_at]
        state.append(bool(raised) and (not cleared or raised[-1] > cleared[-1]))
    return state


@given(RULES, st.lists(st.booleans(), max_size=60))
def test_an_event_goes_on_from_m_of_n_windows_until_few_enough_are_anomalous(
    rules: EventRules, flags: list[bool]
) -> None:
    debounce = Debounce(rules)
    assert [debounce.push(anomalous=flag) for flag in flags] == slowly(rules, flags)


def frames_of(windows: int) -> NDArray[np.uint8]:
    count = (windows - 1) * STRIDE + WINDOW_FRAMES
    return np.random.default_rng(windows).integers(60, 90, (count, 128), dtype=np.uint8)


def flags_of(text: str) -> NDArray[np.bool_]:
    return np.array([sign == "x" for sign in text], dtype=np.bool_)


def test_an_event_is_told_of_when_it_is_raised_and_when_it_is_over_with_its_place_in_the_stream() -> None:
    flags = flags_of("." * 20 + "x.xxxxxxxxx.x" + "." * 20)
    raised, ended = follow(frames_of(len(flags)), flags)
    assert (raised.ended, ended.ended) == (False, True)
    assert raised.event_id == ended.event_id
    assert raised.first_frame == ended.first_frame == 20 * STRIDE + INPUT_FRAMES
    assert ended.stop_frame == 32 * STRIDE + WINDOW_FRAMES
    assert (raised.anomalous_windows, raised.windows) == (8, 9)
    assert ended.anomalous_windows == flags.sum()
    assert (ended.peak_value, ended.threshold, ended.serial, ended.score) == (5.0, 2.0, 1, "error")


def test_few_anomalous_windows_are_no_event() -> None:
    flags = flags_of("..xxxxxxx.........." * 5)
    assert follow(frames_of(len(flags)), flags) == []


def test_what_goes_on_is_told_of_again_and_again_at_growing_intervals() -> None:
    flags = flags_of("." * 20 + "x" * 2000)
    first, *told, last = follow(frames_of(len(flags)), flags)
    assert [sighting.ended for sighting in told] == [False] * len(told)
    assert last.ended
    at_s = np.array([sighting.stop_frame for sighting in (first, *told)]) * 256e-6
    np.testing.assert_allclose(np.diff(at_s), [1, 2, 4], atol=0.02)
    assert {sighting.event_id for sighting in told} == {first.event_id}


@given(st.data())
def test_any_split_into_batches_gives_the_same_events(data: st.DataObject) -> None:
    flags = np.array(data.draw(st.lists(st.sampled_from([True, True, False]), min_size=20, max_size=60)), np.bool_)
    codes = frames_of(len(flags))
    ends = sorted(data.draw(st.sets(st.integers(1, len(codes) - 1), max_size=8)))

    def plain(news: object) -> str:
        return str(news).split("event_id")[0]

    whole, parts = follow(codes, flags, []), follow(codes, flags, ends)
    assert [(s.first_frame, s.stop_frame, s.ended, s.windows, s.anomalous_windows) for s in parts] == [
        (s.first_frame, s.stop_frame, s.ended, s.windows, s.anomalous_windows) for s in whole
    ]


def test_an_event_does_not_reach_across_a_gap() -> None:
    flags = flags_of("x" * 30)
    codes = frames_of(30)
    tracker = EventTracker(EventRules())
    before = [news for batch in batches_of(codes, flags, []) for news in tracker.push(batch)]
    [batch] = batches_of(codes, flags, [], Run(0, 999, 5e6))
    ended, raised, *_ = tracker.push(batch)
    assert (ended.event_id, ended.ended) == (before[0].event_id, True)
    assert raised.event_id != ended.event_id
    assert tracker.goes_on


def test_a_window_that_the_model_failed_on_spoils_no_event() -> None:
    flags = flags_of("." * 10 + "x" * 20)
    tracker = EventTracker(EventRules())
    [batch] = batches_of(frames_of(30), flags, [])
    assert batch.windows is not None
    batch.windows.predicted[12] = np.nan
    raised, *_ = tracker.push(batch)
    assert np.isfinite(raised.shape.excess_db)


@pytest.mark.parametrize("flags", ["x" * 8, "x" * 17 + "." * 3])
def test_a_stream_that_begins_in_an_event_has_one(flags: str) -> None:
    raised, ended = follow(frames_of(len(flags)), flags_of(flags))
    assert raised.first_frame == INPUT_FRAMES
    assert ended.ended
