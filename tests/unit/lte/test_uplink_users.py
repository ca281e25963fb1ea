"""Users as an observer receives them: how strong, how steady, how late."""

import math

import numpy as np
import pytest

from bandwatch.lte.uplink.users import UplinkUsers

BLOCKS_HZ = np.arange(-12.0, 13.0) * 180e3


def draw(users: int, seed: int = 1) -> UplinkUsers:
    """Return users of a cell of 5 MHz."""
    return UplinkUsers(users, 830e6, 2e-6, BLOCKS_HZ, np.random.default_rng(seed))


def test_the_mean_power_over_users_is_one() -> None:
    powers = np.abs(draw(20_000).gains(np.arange(20_000), np.zeros(20_000))) ** 2
    assert powers.mean() == pytest.approx(1, rel=0.2)


def test_levels_are_normal_in_decibels_and_fading_comes_on_top() -> None:
    powers = np.abs(draw(20_000).gains(np.arange(20_000), np.zeros(20_000))[:, 0]) ** 2
    levels_db = 10 * np.log10(powers)
    rayleigh_db = 10 / math.log(10) * math.pi / math.sqrt(6)
    assert levels_db.std() == pytest.approx(math.hypot(8, rayleigh_db), rel=0.03)


def test_a_users_gain_at_a_time_is_the_same_whatever_else_is_asked() -> None:
    users = draw(5)
    alone = users.gains(np.array([3]), np.array([7.25]))
    among_others = users.gains(np.array([0, 3, 4, 3]), np.array([0.1, 7.25, 9.0, 100.0]))
    np.testing.assert_allclose(among_others[1], alone[0], rtol=1e-5)


def test_gains_change_slowly_in_time_and_over_minutes_by_more_than_fading() -> None:
    users = draw(200)
    who = np.arange(200)
    now, soon = (users.gains(who, np.full(200, time_s)) for time_s in (5.0, 5.001))
    assert np.mean(np.abs(soon - now) ** 2) < 0.01 * np.mean(np.abs(now) ** 2)
    powers = [np.abs(users.gains(who, np.full(200, time_s))) ** 2 for time_s in np.arange(0.0, 20_000.0, 200.0)]
    levels_db = 10 * np.log10(np.mean(powers, axis=2))
    assert np.median(levels_db.std(axis=0)) > 7


def test_frequencies_fade_apart_from_one_another_but_slowly() -> None:
    gains = draw(3000).gains(np.arange(3000), np.zeros(3000))
    normal = gains / np.sqrt(np.mean(np.abs(gains) ** 2, axis=1, keepdims=True))
    near, far = (abs(np.mean(normal[:, 0] * normal[:, step].conj())) for step in (1, 24))
    assert far < near
    assert near > 0.9


def test_delays_stay_below_the_latest() -> None:
    delays_s = draw(1000).delays_s
    assert 0 <= delays_s.min() < 1e-7
    assert 1.9e-6 < delays_s.max() < 2e-6


def test_nobody_asked_for_is_no_gain() -> None:
    assert draw(3).gains(np.empty(0, np.int64), np.empty(0)).shape == (0, 25)
