"""Means over spans know how far they can be trusted."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_ind

from coordinator.services.releasing.spans import FEWEST_SPANS, Spans, excess, mean_difference

SPAN = st.tuples(st.integers(1, 10_000), st.floats(-50, 50, allow_nan=False))


def spans_of(values: list[float], windows: int = 100) -> Spans:
    return sum((Spans.of(windows, windows * value) for value in values), Spans())


def alike(mean: float, spans: int = 10) -> Spans:
    """Return spans about a mean, with a spread of 0.1."""
    return spans_of([mean + 0.1 * (-1) ** number for number in range(spans)])


@given(st.lists(SPAN, min_size=2, max_size=20))
def test_sums_give_the_mean_of_all_windows(spans: list[tuple[int, float]]) -> None:
    total = sum((Spans.of(windows, windows * mean) for windows, mean in spans), Spans())
    expected = np.average([mean for _, mean in spans], weights=[windows for windows, _ in spans])
    assert total.mean == pytest.approx(expected, abs=1e-6)
    assert total.variance_of_mean >= 0


@given(st.lists(st.floats(-10, 10, allow_nan=False), min_size=3, max_size=30).filter(lambda v: np.std(v) > 0.01))
def test_bounds_of_spans_of_one_length_are_those_of_the_t_test(values: list[float]) -> None:
    found = mean_difference(spans_of(values))
    assert found is not None
    expected = ttest_1samp(values, 0).confidence_interval(0.9)  # 5 % on either side
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-4)


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=20), st.lists(st.floats(-1, 1), min_size=4, max_size=20))
def test_bounds_of_a_change_are_those_of_welch(before: list[float], now: list[float]) -> None:
    assume(np.std(before) > 0.01 and np.std(now) > 0.01)
    nothing = Spans()
    found = excess(own=spans_of(now), own_before=spans_of(before), others=nothing, others_before=nothing)
    assert found is not None
    expected = ttest_ind(now, before, equal_var=False).confidence_interval(0.9)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_windows_of_one_span_count_as_one() -> None:
    few, many = mean_difference(spans_of([1.0, 1.2, 0.8], 10)), mean_difference(spans_of([1.0, 1.2, 0.8], 10_000))
    assert few is not None
    assert many is not None
    assert few.standard_error == pytest.approx(many.standard_error)


def test_too_few_spans_tell_nothing() -> None:
    assert mean_difference(alike(1.0, FEWEST_SPANS - 1)) is None
    nothing = Spans()
    assert excess(own=alike(1.0), own_before=nothing, others=nothing, others_before=nothing) is None
    assert excess(own=alike(1.0, 2), own_before=alike(1.0), others=alike(1.0), others_before=alike(1.0)) is None


def test_a_change_that_the_others_saw_too_is_not_the_releases_fault() -> None:
    busy = excess(own=alike(4.0), own_before=alike(3.0), others=alike(3.5), others_before=alike(2.5))
    assert busy is not None
    assert busy.mean == pytest.approx(0.0)


def test_a_bad_release_shows_against_the_past_against_the_others_and_against_both() -> None:
    nothing = Spans()
    for past, others, before in (
        (alike(3.0), nothing, nothing),
        (nothing, alike(3.0), nothing),
        (alike(3.0), alike(2.0), alike(2.0)),
    ):
        found = excess(own=alike(4.0), own_before=past, others=others, others_before=before)
        assert found is not None
        assert found.mean == pytest.approx(1.0)
        assert 0.5 < found.lower < found.upper < 1.5
