"""Fading against the textbook expressions, and the delay profiles against the tables."""

import math

import numpy as np
import pytest
import scipy.special

from bandwatch.lte.radio.fading import PROFILES, DelayProfile, Fading

TIMES_S = np.arange(560) * 40e-3 / 560
SUBCARRIERS_HZ = 15e3 * np.concatenate([np.arange(-150, 0), np.arange(1, 151)])


def test_the_autocorrelation_of_fading_is_the_bessel_function_of_the_doppler_shift() -> None:
    doppler_hz = 100.0
    gains = Fading(600, doppler_hz, np.random.default_rng(2)).gains(TIMES_S)
    for lag in range(0, 200, 10):
        measured = np.mean(gains[: 560 - lag] * gains[lag:].conj())
        assert abs(measured - scipy.special.j0(2 * np.pi * doppler_hz * TIMES_S[lag])) < 0.05


def test_the_gain_of_a_tap_is_rayleigh_distributed() -> None:
    power = np.abs(Fading(600, 100.0, np.random.default_rng(2)).gains(TIMES_S)) ** 2
    assert power.mean() == pytest.approx(1, abs=0.05)
    for level in (0.1, 0.5, 2.0):
        assert (power > level).mean() == pytest.approx(math.exp(-level), abs=0.02)


def test_the_gains_of_some_taps_are_those_of_all_at_the_same_times() -> None:
    fading = Fading(6, np.array([1.0, 2.0, 3.0, 4.0, 5.0, 60.0]), np.random.default_rng(3))
    taps = np.array([[0, 5], [5, 2], [3, 3]])
    expected = fading.gains(TIMES_S[:3])
    np.testing.assert_allclose(
        fading.gains_of(taps, TIMES_S[:3]), np.take_along_axis(expected, taps, axis=1), rtol=1e-5
    )


def test_a_day_later_a_millisecond_still_changes_a_gain_as_it_does_now() -> None:
    fading = Fading(100, 80.0, np.random.default_rng(3))
    now, later = (np.diff(fading.gains(start + TIMES_S[:20]), axis=0) for start in (0.0, 86_400.0))
    assert np.mean(np.abs(later) ** 2) == pytest.approx(np.mean(np.abs(now) ** 2), rel=0.2)


@pytest.mark.parametrize(("name", "spread_ns"), [("epa", 43), ("eva", 357), ("etu", 991)])
def test_each_profile_has_the_delay_spread_of_table_b_2_1_1(name: str, spread_ns: float) -> None:
    profile = PROFILES[name]
    powers = profile.amplitudes() ** 2
    delays = np.array(profile.delays_ns)
    mean = (powers * delays).sum()
    assert math.sqrt((powers * (delays - mean) ** 2).sum()) == pytest.approx(spread_ns, abs=2)
    assert powers.sum() == pytest.approx(1)


def test_the_response_turns_with_frequency_as_the_delays_say() -> None:
    delays = DelayProfile((0.0, 1000.0), (0.0, -3.0)).turns(SUBCARRIERS_HZ)
    np.testing.assert_allclose(delays[0], 1)
    np.testing.assert_allclose(delays[1], np.exp(-2j * np.pi * SUBCARRIERS_HZ * 1e-6), atol=1e-5)
