"""Fading, shadowing and level against the textbook expressions."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import scipy.special

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.channel import Channel, ChannelConfig, Shadowing
from bandwatch.lte.fading import PEDESTRIAN, URBAN, VEHICULAR, DelayProfile, Fading

CONFIG = ChannelConfig("driving", signal_to_noise_db=20, carrier_hz=880e6, shadowing_db=0)
SUBCARRIERS_HZ = 15e3 * np.concatenate([np.arange(-150, 0), np.arange(1, 151)])
BLOCK_S = 40e-3
TIMES_S = np.arange(560) * BLOCK_S / 560


def channel(config: ChannelConfig, seed: int = 1) -> Channel:
    """Return a channel of 25 resource blocks."""
    return Channel(config, SUBCARRIERS_HZ, TIMES_S, BLOCK_S, np.random.SeedSequence(seed))


def test_the_autocorrelation_of_fading_is_the_bessel_function_of_the_doppler_shift() -> None:
    doppler_hz = 100.0
    gains = Fading(600, doppler_hz, TIMES_S, BLOCK_S, np.random.default_rng(2)).next_block()
    for lag in range(0, 200, 10):
        measured = np.mean(gains[: 560 - lag] * gains[lag:].conj())
        assert abs(measured - scipy.special.j0(2 * np.pi * doppler_hz * TIMES_S[lag])) < 0.05


def test_the_gain_of_a_tap_is_rayleigh_distributed() -> None:
    power = np.abs(Fading(600, 100.0, TIMES_S, BLOCK_S, np.random.default_rng(2)).next_block()) ** 2
    assert power.mean() == pytest.approx(1, abs=0.05)
    for level in (0.1, 0.5, 2.0):
        assert (power > level).mean() == pytest.approx(math.exp(-level), abs=0.02)


def test_fading_goes_on_smoothly_from_block_to_block() -> None:
    short = Fading(3, 80.0, TIMES_S, BLOCK_S, np.random.default_rng(3))
    long = Fading(3, 80.0, np.concatenate([TIMES_S, TIMES_S + BLOCK_S]), 2 * BLOCK_S, np.random.default_rng(3))
    np.testing.assert_allclose(np.concatenate([short.next_block(), short.next_block()]), long.next_block(), atol=1e-4)


@pytest.mark.parametrize(("profile", "spread_ns"), [(PEDESTRIAN, 43), (VEHICULAR, 357), (URBAN, 991)])
def test_each_profile_has_the_delay_spread_of_table_b_2_1_1(profile: DelayProfile, spread_ns: float) -> None:
    powers = profile.amplitudes() ** 2
    delays = np.array(profile.delays_ns)
    mean = (powers * delays).sum()
    assert math.sqrt((powers * (delays - mean) ** 2).sum()) == pytest.approx(spread_ns, abs=2)
    assert powers.sum() == pytest.approx(1)


@pytest.mark.parametrize("mobility", ["static", "walking", "driving"])
def test_the_mean_gain_of_a_channel_is_one(mobility: str) -> None:
    fast_fading = replace(CONFIG, mobility=mobility, carrier_hz=300e9)
    way = channel(fast_fading)
    power = np.mean([np.abs(way.next_block()) ** 2 for _ in range(20)])
    assert 10 * math.log10(power) == pytest.approx(0, abs=0.5)


def test_the_response_turns_with_frequency_as_the_delays_say() -> None:
    delays = DelayProfile((0.0, 1000.0), (0.0, -3.0)).turns(SUBCARRIERS_HZ)
    np.testing.assert_allclose(delays[0], 1)
    np.testing.assert_allclose(delays[1], np.exp(-2j * np.pi * SUBCARRIERS_HZ * 1e-6), atol=1e-5)


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


def test_shadowing_has_its_deviation_and_forgets_with_distance() -> None:
    shadowing = Shadowing(6.0, 10.0, np.array([0.0, 0.5]), np.random.default_rng(4))
    levels = np.array([shadowing.next_block() for _ in range(20_000)])
    assert levels[:, 0].std() == pytest.approx(6, rel=0.05)
    assert levels[:, 0].mean() == pytest.approx(0, abs=0.5)
    correlation = np.corrcoef(levels[:-5, 0], levels[5:, 0])[0, 1]
    assert correlation == pytest.approx(math.exp(-50 / 50), abs=0.06)
    np.testing.assert_allclose(levels[:-1, 1], (levels[:-1, 0] + levels[1:, 0]) / 2, atol=1e-4)


def test_a_static_observer_has_no_shadowing() -> None:
    assert not Shadowing(6.0, 0.0, np.array([0.0, 0.5]), np.random.default_rng(4)).next_block().any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mobility", "flying"),
        ("signal_to_noise_db", math.inf),
        ("level_dbfs", math.nan),
        ("carrier_hz", 0.0),
        ("carrier_hz", math.inf),
        ("shadowing_db", -1.0),
    ],
)
def test_an_impossible_channel_is_refused(field: str, value: str | float) -> None:
    with pytest.raises(InvalidArgumentError):
        replace(CONFIG, **cast("dict[str, Any]", {field: value}))
