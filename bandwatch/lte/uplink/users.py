"""The users of a cell as an observer near the street receives them: how strong, how late, and fading how fast."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.radio.channel import SPEED_OF_LIGHT_MPS
from bandwatch.lte.radio.fading import PEDESTRIAN, Fading
from bandwatch.lte.radio.propagation import SHADOWING_DB, Shadowing

_SPEEDS_MPS: Final = np.array([0.3, 1.4, 1.4, 10.0])  # at a table, on foot, on foot, in a car
_TOWN_M: Final = 1e6  # so wide that no two users walk in each other's shadows
_KNOTS_PER_S: Final = 2  # a car goes a tenth of shadowing's correlation distance in half a second
_MEAN_OVER_MEDIAN_DB: Final = SHADOWING_DB**2 * math.log(10) / 20  # of a log-normal power
_TAPS: Final = len(PEDESTRIAN.delays_ns)


class UplinkUsers:
    """Users whose gains to the observer are functions of time, with a mean power of 1 over users and time.

    Power control makes all users alike where the cell listens, and their ways to the observer make them unlike again:
    in decibels their levels are normal, and change as they move.

    Attributes:
        delays_s: float64 [users], how late each is in the observer's frame; less than the latest allowed.
    """

    def __init__(
        self,
        users: int,
        carrier_hz: float,
        latest_s: float,
        frequencies_hz: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        """Draw the users.

        Args:
            users: How many.
            carrier_hz: Carrier frequency, which turns speed into Doppler shift.
            latest_s: Latest delay.
            frequencies_hz: float64 [frequencies], where gains are wanted, relative to the carrier.
            rng: Where the users come from.
        """
        speeds_mps = rng.choice(_SPEEDS_MPS, users)
        heading = rng.uniform(0, 2 * np.pi, users)
        self._velocity_mps = speeds_mps * np.stack([np.cos(heading), np.sin(heading)])
        self._start_m = rng.uniform(0, _TOWN_M, (2, users))
        self._shadowing = Shadowing(SHADOWING_DB, rng)
        self._fading = Fading(users * _TAPS, np.repeat(speeds_mps, _TAPS) * carrier_hz / SPEED_OF_LIGHT_MPS, rng)
        self._turns = PEDESTRIAN.turns(frequencies_hz) * PEDESTRIAN.amplitudes().astype(np.float32)[:, np.newaxis]
        self.delays_s = rng.uniform(0, latest_s, users)

    def gains(self, users: NDArray[np.int64], times_s: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the gains complex64 [n, frequencies] of users int64 [n], each at a time of its own, float64 [n]."""
        taps = users[:, np.newaxis] * _TAPS + np.arange(_TAPS)
        fading = self._fading.gains_of(taps, times_s)
        fading *= 10 ** (self._level_db(users, times_s) / 20).astype(np.float32)[:, np.newaxis]
        gains: NDArray[np.complex64] = fading @ self._turns
        return gains

    def _level_db(self, users: NDArray[np.int64], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the levels float64 [n] of users at times, on straight lines between times that lie close enough."""
        if not len(times_s):
            return np.zeros(0)
        knot = times_s * _KNOTS_PER_S
        first = int(knot.min())
        at_s = np.arange(first, int(knot.max()) + 2) / _KNOTS_PER_S
        east_m, north_m = self._start_m[:, np.newaxis] + at_s[:, np.newaxis] * self._velocity_mps[:, np.newaxis]
        knots_db = self._shadowing.level_db(east_m.reshape(-1), north_m.reshape(-1)).reshape(east_m.shape)
        before = knot.astype(np.int64) - first
        share = knot - np.floor(knot)
        levels: NDArray[np.float64] = (1 - share) * knots_db[before, users] + share * knots_db[before + 1, users]
        levels -= _MEAN_OVER_MEDIAN_DB
        return levels
