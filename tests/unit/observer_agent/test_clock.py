"""Moments of samples."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from observer_agent.receivers.clock import SampleClock

RATE_HZ = 1000.0
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_the_first_block_ends_when_it_arrives() -> None:
    clock = SampleClock(RATE_HZ)
    clock.arrived(100, NOON)
    assert clock.moment_of(100) == NOON
    assert clock.moment_of(50) == NOON - seconds(0.05)


def test_moments_of_a_real_time_stream_do_not_follow_late_arrivals() -> None:
    clock = SampleClock(RATE_HZ)
    clock.arrived(100, NOON)
    clock.arrived(200, NOON + seconds(0.1 + 0.3))
    clock.arrived(300, NOON + seconds(0.2 + 0.01))
    assert clock.moment_of(300) == NOON + seconds(0.2)


def test_a_discontinuity_begins_afresh() -> None:
    clock = SampleClock(RATE_HZ)
    clock.arrived(100, NOON)
    clock.arrived(200, NOON + seconds(1.1), discontinuity=True)
    assert clock.moment_of(200) == NOON + seconds(1.1)


def test_a_clock_that_was_set_forward_is_followed() -> None:
    clock = SampleClock(RATE_HZ)
    clock.arrived(100, NOON)
    clock.arrived(200, NOON + timedelta(days=1))
    assert clock.moment_of(200) == NOON + timedelta(days=1)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 3)), min_size=1, max_size=30))
def test_no_moment_ever_lies_in_the_future(arrivals: list[tuple[int, float]]) -> None:
    clock, end, now = SampleClock(RATE_HZ), 0, NOON
    for samples, passed_s in arrivals:
        end += samples
        now += seconds(passed_s)
        clock.arrived(end, now)
        assert clock.moment_of(end) <= now + timedelta(microseconds=2)  # rounding of two time spans
