"""What reaches a place, against the figures of the tables and the textbook's expressions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.radio.channel import ChannelConfig
from bandwatch.lte.radio.propagation import Shadowing, level_dbfs, noise_dbm, path_loss_db, received_level_dbm

FAR_APART_M = np.arange(0.0, 40_000 * 997.0, 997.0)


@pytest.mark.parametrize(("carrier_hz", "at_1_km_db"), [(2e9, 128.1), (900e6, 120.9)])
@pytest.mark.parametrize("distance_m", [100.0, 500.0, 1000.0, 7000.0])
def test_path_loss_is_that_of_the_reports_at_their_frequencies(
    carrier_hz: float, at_1_km_db: float, distance_m: float
) -> None:
    expected = at_1_km_db + 37.6 * math.log10(distance_m / 1000)
    assert path_loss_db(distance_m, carrier_hz) == pytest.approx(expected, abs=0.1)


@given(near_m=st.floats(1, 20_000), further_m=st.floats(0, 20_000), height_m=st.floats(1, 50))
def test_further_away_never_loses_less(near_m: float, further_m: float, height_m: float) -> None:
    near, far = (path_loss_db(distance, 880e6, height_m) for distance in (near_m, near_m + further_m))
    assert 70 <= near <= far


@pytest.mark.parametrize(
    ("distance_m", "carrier_hz", "height_m"),
    [(0.0, 1e9, 15.0), (math.inf, 1e9, 15.0), (100.0, 0.0, 15.0), (100.0, 1e9, 0.0), (100.0, 1e9, 51.0)],
)
def test_a_way_that_cannot_be_is_refused(distance_m: float, carrier_hz: float, height_m: float) -> None:
    with pytest.raises(InvalidArgumentError):
        path_loss_db(distance_m, carrier_hz, height_m)


def test_noise_is_that_of_a_warm_resistor_and_the_receiver() -> None:
    boltzmann, kelvin, bandwidth_hz = 1.380649e-23, 290, 4.5e6
    assert noise_dbm(bandwidth_hz, 0) == pytest.approx(
        10 * math.log10(boltzmann * kelvin * bandwidth_hz / 1e-3), abs=0.1
    )
    assert noise_dbm(bandwidth_hz, 7) == noise_dbm(bandwidth_hz, 0) + 7


def test_noise_without_a_bandwidth_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="bandwidth"):
        noise_dbm(0.0)


def test_the_chain_gives_what_a_channel_asks_for() -> None:
    loss_db = path_loss_db(1000, 2e9)
    level = received_level_dbm(43, loss_db, shadowing_db=-3, penetration_db=20, antennas_db=15)
    assert level == pytest.approx(43 + 15 - 128.1 - 3 - 20, abs=0.1)
    config = ChannelConfig("static", level - noise_dbm(4.5e6), 2e9, level_dbfs(level, gain_db=60, full_scale_dbm=-5))
    assert config.signal_to_noise_db == pytest.approx(-93.1 + 98.5, abs=0.2)
    assert config.level_dbfs == pytest.approx(-93.1 + 65, abs=0.1)


def test_shadowing_is_normal_in_decibels_with_its_deviation() -> None:
    levels = Shadowing(8.0, np.random.default_rng(4)).level_db(FAR_APART_M, -3 * FAR_APART_M)
    assert levels.mean() == pytest.approx(0, abs=0.3)
    assert levels.std() == pytest.approx(8, rel=0.03)
    for deviations in (-2, -1, 0, 1, 2):
        share = 0.5 * (1 + math.erf(deviations / math.sqrt(2)))
        assert (levels < 8 * deviations).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("heading", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("distance_m", [5.0, 25.0, 50.0, 100.0])
def test_shadowing_forgets_with_distance_in_every_direction(heading: float, distance_m: float) -> None:
    east_m, north_m = distance_m * math.cos(heading), distance_m * math.sin(heading)
    correlations = []
    for seed in range(40):
        shadowing = Shadowing(6.0, np.random.default_rng(seed))
        here = shadowing.level_db(FAR_APART_M[:500], FAR_APART_M[:500])
        there = shadowing.level_db(FAR_APART_M[:500] + east_m, FAR_APART_M[:500] + north_m)
        correlations.append(np.mean(here * there) / 36)
    assert np.mean(correlations) == pytest.approx(math.exp(-distance_m / 50), abs=0.06)


def test_two_visits_to_one_place_agree_and_another_town_does_not() -> None:
    places = np.array([0.0, 10.0, -250.0])
    first, again, elsewhere = (
        Shadowing(6.0, np.random.default_rng(seed)).level_db(places, places[::-1]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - elsewhere).min() > 0
