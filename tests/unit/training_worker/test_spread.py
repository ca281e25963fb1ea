"""How values are spread, and the bound on later ones, against theory and simulation."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.signal import lfilter

from training_worker.learning.spread import Spread, effective_windows, spread_of

Values = npt.NDArray[np.float64]
APART = 25  # frames between windows whose target frames touch but do not overlap
ANY_VALUES = arrays(np.float64, st.integers(1, 60), elements=st.floats(-20, 20))


def runs(count: int, of: int) -> npt.NDArray[np.intp]:
    return np.arange(count) * of // count


def autoregressive(count: int, correlation: float, random: np.random.Generator) -> Values:
    """Return values of deviation 1, each correlated with the one before."""
    steps = random.normal(0, np.sqrt(1 - correlation**2), count + 100)
    return np.asarray(lfilter([1.0], [1.0, -correlation], steps))[100:]


def realised(draw: Callable[[np.random.Generator], Spread], rate: float, repetitions: int = 300) -> Values:
    """Return the rate at which later values of a standard normal distribution exceed each of many bounds."""
    random = np.random.default_rng(1)
    return np.asarray(stats.norm.sf([draw(random).bound(rate) for _ in range(repetitions)]))


def test_independent_values_count_fully() -> None:
    values = np.random.default_rng(1).normal(size=4000)
    assert effective_windows(values, runs(4000, 4), APART) == pytest.approx(4000, rel=0.1)


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_correlated_values_count_for_what_theory_says(correlation: float) -> None:
    random = np.random.default_rng(2)
    found = [effective_windows(autoregressive(10_000, correlation, random), runs(10_000, 1), APART) for _ in range(5)]
    assert np.mean(found) == pytest.approx(10_000 * (1 - correlation) / (1 + correlation), rel=0.1)


def test_neighbours_in_different_runs_are_not_compared() -> None:
    values = np.repeat([-1.0, 1.0] * 50, 2)
    assert effective_windows(values, runs(200, 100), APART) == 100
    # Across runs the same values alternate, which looks as if they were worth more.
    assert effective_windows(values, runs(200, 1), APART) > 100


@pytest.mark.parametrize(("stride_frames", "share"), [(1, 25), (5, 5), (25, 1), (100, 1)])
def test_windows_whose_target_frames_overlap_count_once(stride_frames: int, share: int) -> None:
    values = np.random.default_rng(3).permutation(np.tile([-1.0, 1.0], 500))
    assert effective_windows(values, runs(1000, 1), stride_frames) <= 1000 / share


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0]])
def test_values_that_never_change_have_no_spread_but_that_of_drift(values: list[float]) -> None:
    for drift in (0.0, 0.2):
        spread = spread_of(np.array(values), runs(len(values), 1), APART, drift)
        assert spread.deviation == pytest.approx(drift)
        assert spread.bound(0.01) >= 3.0
        assert np.isfinite(spread.bound(0.001))


@given(values=ANY_VALUES, count=st.integers(1, 7), stride=st.integers(1, 40), drift=st.floats(0, 2))
def test_any_values_have_a_finite_bound_that_rises_as_the_rate_falls(
    values: Values, count: int, stride: int, drift: float
) -> None:
    spread = spread_of(values, runs(len(values), count), stride, drift)
    assert 1 <= spread.effective <= len(values)
    bounds = [spread.bound(rate) for rate in (0.1, 0.05, 0.01, 0.001)]
    assert np.isfinite(bounds).all()
    assert bounds == sorted(bounds)
    assert bounds[0] >= values.mean() - 1e-9


def test_variances_within_and_between_runs_are_told_apart() -> None:
    random = np.random.default_rng(4)
    values = random.normal(size=10_000) + np.repeat(random.normal(0, 2, 2000), 5)
    spread = spread_of(values, runs(10_000, 2000), APART, drift=0.0)
    assert spread.within == pytest.approx(1, rel=0.03)
    assert spread.between == pytest.approx(4, rel=0.08)


def test_independent_values_do_not_differ_between_runs_by_more_than_chance() -> None:
    random = np.random.default_rng(5)
    found = [spread_of(random.normal(size=400), runs(400, 20), APART, 0.0).between for _ in range(50)]
    assert np.mean(found) < 0.02


def test_drift_is_the_least_that_runs_are_taken_to_differ_by() -> None:
    values = np.random.default_rng(6).normal(size=500)
    assert spread_of(values, runs(500, 5), APART, drift=3.0).between == 9
    shifted = values + np.repeat(np.arange(5) * 10.0, 100)
    assert spread_of(shifted, runs(500, 5), APART, drift=3.0).between > 100


def test_with_plenty_of_independent_values_the_bound_is_the_quantile() -> None:
    values = np.random.default_rng(7).exponential(size=20_000)
    spread = spread_of(values, runs(20_000, 5), APART, drift=0.0)
    for rate in (0.01, 0.05):
        assert spread.bound(rate) == pytest.approx(np.quantile(values, 1 - rate), rel=0.01)
        assert spread.bound(rate) >= np.quantile(values, 1 - rate)


def test_with_few_values_the_bound_is_the_prediction_limit_of_student() -> None:
    """Mean plus t times deviation times the root of 1 + 1 / n: by the textbook for one run of independent values."""
    values = np.array([0.3, -1.2, 0.8, -0.4, 1.1, -0.6, 0.2, -0.2])
    spread = spread_of(values, runs(8, 1), APART, drift=0.0)
    assert spread.effective == 8
    expected = values.mean() + stats.t.isf(0.01, 7) * values.std(ddof=1) * np.sqrt(1 + 1 / 8)
    assert spread.bound(0.01) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("count", [20, 60, 200])
def test_the_bound_of_few_values_keeps_the_rate_on_average_where_their_quantile_does_not(count: int) -> None:
    def bounded(random: np.random.Generator) -> Spread:
        return spread_of(random.normal(size=count), runs(count, 5), APART, drift=0.0)

    random = np.random.default_rng(8)
    by_quantile = stats.norm.sf(np.quantile(random.normal(size=(300, count)), 0.99, axis=1, method="inverted_cdf"))
    assert realised(bounded, 0.01).mean() <= 0.01
    assert by_quantile.mean() > 0.013


@pytest.mark.parametrize(("count", "runs_heard"), [(200, 20), (500, 50), (2000, 50)])
def test_the_bound_keeps_the_rate_where_runs_differ_as_much_as_windows_in_a_run(count: int, runs_heard: int) -> None:
    def bounded(random: np.random.Generator) -> Spread:
        means = np.repeat(random.normal(0, np.sqrt(0.5), runs_heard), count // runs_heard)
        values = random.normal(0, np.sqrt(0.5), count) + means
        return spread_of(values, runs(count, runs_heard), APART, drift=0.0)

    assert realised(bounded, 0.01, repetitions=150).mean() <= 0.0125


def test_the_bound_keeps_the_rate_where_windows_depend_on_one_another() -> None:
    def bounded(random: np.random.Generator) -> Spread:
        values = np.concatenate([autoregressive(60, 0.6, random) for _ in range(5)])
        return spread_of(values, runs(300, 5), APART, drift=0.0)

    assert realised(bounded, 0.01).mean() <= 0.0115


@pytest.mark.parametrize("count", [20, 60, 200, 500])
def test_with_a_drift_as_large_as_the_fluctuation_nine_bounds_in_ten_hold_the_rate_and_quantiles_do_not(
    count: int,
) -> None:
    def bounded(random: np.random.Generator) -> Spread:
        return spread_of(random.normal(size=count), runs(count, 5), APART, drift=1.0)

    random = np.random.default_rng(9)
    by_quantile = stats.norm.sf(np.quantile(random.normal(size=(300, count)), 0.99, axis=1, method="inverted_cdf"))
    assert np.mean(realised(bounded, 0.01) <= 0.01) >= 0.9
    assert np.mean(by_quantile <= 0.01) < 0.6


def test_fewer_values_have_a_higher_bound() -> None:
    random = np.random.default_rng(10)
    bounds = [
        np.mean([spread_of(random.normal(size=n), runs(n, 1), APART, 0.0).bound(0.01) for _ in range(100)])
        for n in (5, 15, 50)
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] > NormalDist().inv_cdf(0.99)
