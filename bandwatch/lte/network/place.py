"""Where an observer is over time, and at which level it receives a cell there."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.network.entries import CellEntry, ObserverEntry
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS
from bandwatch.lte.radio.propagation import INDOOR_LOSS_DB, Shadowing, level_dbfs, path_loss_db, received_level_dbm

USUAL_SPEEDS_MPS: Final = {"static": 0.0, "walking": 1.4, "driving": 13.9}
"""Speeds by mobility: standing, on foot, and 50 km/h."""

_NEAREST_M: Final = 1.0
_STEP_S: Final = 0.25  # the level is computed so often and interpolated: a driver's 3 m against 50 m of shadowing


@dataclass(frozen=True)
class Track:
    """Where an observer is: at one place, or on a circle round it.

    Attributes:
        middle_m: East and north.
        radius_m: Of the circle.
        speed_mps: 0 where it stays.
    """

    middle_m: tuple[float, float]
    radius_m: float
    speed_mps: float

    @classmethod
    def of(cls, observer: ObserverEntry) -> "Track":
        """Return the track of an observer."""
        usual_mps = USUAL_SPEEDS_MPS[observer.mobility]
        speed_mps = usual_mps if observer.speed_mps is None or not usual_mps else observer.speed_mps
        return cls(observer.position_m, observer.radius_m, speed_mps)

    def at(self, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the places at times float64 [n], float64 [n] metres to the east and to the north."""
        east_m, north_m = self.middle_m
        if not self.speed_mps:
            return np.full_like(times_s, east_m), np.full_like(times_s, north_m)
        angle = times_s * (self.speed_mps / self.radius_m)
        return east_m + self.radius_m * np.cos(angle), north_m + self.radius_m * np.sin(angle)


@dataclass(frozen=True)
class Reception:
    """At which level an observer receives a cell.

    Attributes:
        observer: Who receives.
        cell: Who sends.
        carrier_hz: On which carrier.
        shadowing: The shadows that the cell's antenna casts.
        start_s: When the stream begins, since the midnight of day 0.
    """

    observer: ObserverEntry
    cell: CellEntry
    carrier_hz: float
    shadowing: Shadowing
    start_s: float

    def level_db(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the power of a full carrier relative to full scale at times of the stream, float64 [n] each."""
        there_s = self.start_s + times_s
        first, last = np.floor(there_s[[0, -1]] / _STEP_S)
        steps_s = np.arange(first, last + 2) * _STEP_S
        east_m, north_m = Track.of(self.observer).at(steps_s)
        shadowing_db = self.shadowing.level_db(east_m, north_m)
        to_cell_m = np.hypot(east_m - self.cell.position_m[0], north_m - self.cell.position_m[1])
        levels = [
            self._level(max(float(far), _NEAREST_M), float(shadow))
            for far, shadow in zip(to_cell_m, shadowing_db, strict=True)
        ]
        between: NDArray[np.float64] = np.interp(there_s, steps_s, levels)
        return between

    def element_level_db(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the power of one resource element instead, float64 [n]."""
        return self.level_db(times_s) - 10 * math.log10(self.cell.resource_blocks * BLOCK_SUBCARRIERS)

    def _level(self, distance_m: float, shadowing_db: float) -> float:
        """Return the level at one place."""
        received_dbm = received_level_dbm(
            self.cell.power_dbm,
            path_loss_db(distance_m, self.carrier_hz),
            shadowing_db=shadowing_db,
            penetration_db=INDOOR_LOSS_DB if self.observer.indoor else 0.0,
            antennas_db=self.observer.antenna_db,
        )
        return level_dbfs(received_dbm, self.observer.gain_db)
