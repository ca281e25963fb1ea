"""The gains of a channel: their level, their movement, and their surroundings."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import scipy.special

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.radio.channel import MOBILITIES, Channel, ChannelConfig
from bandwatch.lte.radio.fading import PROFILES

CONFIG = ChannelConfig("driving", signal_to_noise_db=20, carrier_hz=880e6, shadowing_db=0)
SUBCARRIERS_HZ = 15e3 * np.concatenate([np.arange(-150, 0), np.arange(1, 151)])
BLOCK_S = 40e-3
TIMES_S = np.arange(560) * BLOCK_S / 560


def channel(config: ChannelConfig, seed: int = 1) -> Channel:
    """Return a channel of 25 resource blocks."""
    return Channel(config, SUBCARRIERS_HZ, TIMES_S, BLOCK_S, np.random.SeedSequence(seed))


@pytest.mark.parametrize("mobility", ["static", "walking", "driving"])
def test_the_mean_gain_of_a_channel_is_one(mobility: str) -> None:
    fast_fading = replace(CONFIG, mobility=mobility, carrier_hz=300e9)
    way = channel(fast_fading)
    power = np.mean([np.abs(way.next_block()) ** 2 for _ in range(20)])
    assert 10 * math.log10(power) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    ("mobility", "slowest", "fastest"), [("static", 0, 0), ("walking", 1.4, 1.4), ("driving", 15, 25)]
)
def test_the_speed_is_that_of_the_mobility_and_gives_the_doppler_shift(
    mobility: str, slowest: float, fastest: float
) -> None:
    ways = [channel(replace(CONFIG, mobility=mobility), seed) for seed in range(10)]
    assert all(slowest <= way.speed_mps <= fastest for way in ways)
    for way in ways:
        expected = max(way.speed_mps, 0.1) * 880e6 / 299_792_458
        assert way.doppler_hz == pytest.approx(expected)


def test_a_static_channel_hardly_changes_in_a_second_and_a_driving_one_does() -> None:
    changes = {}
    for mobility in ("static", "driving"):
        way = channel(replace(CONFIG, mobility=mobility))
        blocks = [way.next_block()[0] for _ in range(25)]
        changes[mobility] = np.mean(np.abs(blocks[-1] - blocks[0]) ** 2)
    assert changes["static"] < 0.3 < changes["driving"]


def test_a_static_observer_has_no_shadowing() -> None:
    steady, shadowed = (channel(replace(CONFIG, mobility="static", shadowing_db=db)).next_block() for db in (0.0, 12.0))
    np.testing.assert_array_equal(steady, shadowed)


@pytest.mark.parametrize("mobility", MOBILITIES)
def test_gains_at_any_times_and_frequencies_are_those_of_the_blocks(mobility: str) -> None:
    config = replace(CONFIG, mobility=mobility, shadowing_db=6)
    way, asked = channel(config), channel(config)
    for block in range(5):
        gains = asked.gains_at(block * BLOCK_S + TIMES_S[::40], SUBCARRIERS_HZ[::7])
        np.testing.assert_allclose(gains, way.next_block()[::40, ::7], atol=1e-3)
        assert gains.dtype == np.complex64


def test_asking_for_gains_leaves_the_blocks_as_they_were() -> None:
    way, asked = channel(CONFIG), channel(CONFIG)
    asked.gains_at(np.array([7.0, 1.0]), np.array([0.0]))
    np.testing.assert_array_equal(asked.next_block(), way.next_block())


def test_the_delays_of_the_profile_asked_for_are_in_the_response() -> None:
    frequencies_hz = np.arange(0.0, 10e6, 10e3)
    for name, profile in PROFILES.items():
        way = channel(replace(CONFIG, profile=name, speed_mps=20.0))
        gains = way.gains_at(np.arange(0.0, 20.0, 0.05), frequencies_hz)
        tones = np.exp(2e-9j * np.pi * np.outer(frequencies_hz, profile.delays_ns))
        # Taps closer than 1 / 10 MHz cannot be told apart, so the least squares fit sees them all at once.
        taps = np.linalg.lstsq(tones.conj(), gains.T, rcond=None)[0]
        powers = np.mean(np.abs(taps) ** 2, axis=1)
        np.testing.assert_allclose(powers, profile.amplitudes() ** 2, atol=0.05)


def test_the_speed_asked_for_is_the_speed() -> None:
    way = channel(replace(CONFIG, speed_mps=33.0))
    assert way.speed_mps == 33
    assert way.doppler_hz == pytest.approx(33 * 880e6 / 299_792_458)


def test_the_doppler_spectrum_of_a_subcarrier_has_the_bessel_function_for_its_autocorrelation() -> None:
    times_s = np.arange(0, 0.05, 1e-3)
    products = np.zeros(len(times_s), complex)
    for seed in range(300):
        gains = channel(replace(CONFIG, speed_mps=20.0), seed).gains_at(times_s, np.array([0.0]))[:, 0]
        products += gains * gains[0].conj() / 300
    expected = scipy.special.j0(2 * np.pi * 20 * 880e6 / 299_792_458 * times_s)
    np.testing.assert_allclose(products, expected, atol=0.2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mobility", "flying"),
        ("signal_to_noise_db", math.inf),
        ("level_dbfs", math.nan),
        ("carrier_hz", 0.0),
        ("carrier_hz", math.inf),
        ("shadowing_db", -1.0),
        ("profile", "EPA5"),
        ("speed_mps", -1.0),
        ("speed_mps", math.inf),
    ],
)
def test_an_impossible_channel_is_refused(field: str, value: str | float) -> None:
    with pytest.raises(InvalidArgumentError):
        replace(CONFIG, **cast("dict[str, Any]", {field: value}))


def test_a_static_observer_that_moves_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="static"):
        replace(CONFIG, mobility="static", speed_mps=1.0)
