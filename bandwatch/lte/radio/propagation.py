"""What reaches a place, as a chain of decibels: path loss, shadowing, walls, and the noise of the receiver.

The difference of `received_level_dbm` and `noise_dbm` over the width of the cell is the signal-to-noise ratio that
a channel asks for.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

INDOOR_LOSS_DB: Final = 20.0
"""What the walls of a house take (TR 36.814, A.2.1.1)."""
SHADOWING_DB: Final = 8.0
"""Standard deviation of shadowing over a town (TR 36.814, A.2.1.1)."""
NOISE_FIGURE_DB: Final = 9.0
"""Noise figure of a user's receiver (TR 36.942)."""

_THERMAL_NOISE_DBM_PER_HZ: Final = -174.0
_SMALLEST_LOSS_DB: Final = 70.0  # between a macro cell's mast and a user below it (TR 36.942, 4.5.1)
_CORRELATION_M: Final = 50.0  # of shadowing (TR 36.814, A.2.1.1)
_WAVES: Final = 64


def path_loss_db(distance_m: float, carrier_hz: float, height_above_roofs_m: float = 15.0) -> float:
    """Return the median loss in dB between the antenna of a macro cell and the street, out of sight of each other.

    Args:
        distance_m: Over the ground.
        carrier_hz: Carrier frequency.
        height_above_roofs_m: Of the cell's antenna; 0 to 50.

    Raises:
        InvalidArgumentError: A value makes no sense.

    Source: 3GPP TR 36.942, 4.5.2; at 2 GHz and 15 m it is the 128.1 + 37.6 lg(d / km) of TR 36.814.
    """
    if not (distance_m > 0 and carrier_hz > 0 and math.isfinite(distance_m * carrier_hz)):
        raise InvalidArgumentError(f"{distance_m} m at {carrier_hz} Hz has no path loss: give positive numbers")
    if not 0 < height_above_roofs_m <= 50:  # noqa: PLR2004 - the range that the model was measured for
        raise InvalidArgumentError(f"an antenna {height_above_roofs_m} m above the roofs is outside 0 to 50 m")
    slope = 40 * (1 - 4e-3 * height_above_roofs_m)
    loss = slope * math.log10(distance_m / 1e3) + 21 * math.log10(carrier_hz / 1e6) + 80
    return max(loss - 18 * math.log10(height_above_roofs_m), _SMALLEST_LOSS_DB)


def received_level_dbm(
    transmitted_dbm: float,
    loss_db: float,
    *,
    shadowing_db: float = 0.0,
    penetration_db: float = 0.0,
    antennas_db: float = 0.0,
) -> float:
    """Return the power at the receiver's input.

    Args:
        transmitted_dbm: Power that the transmitter puts into its antenna.
        loss_db: Path loss.
        shadowing_db: Level of the shadowing at this place, positive where more arrives.
        penetration_db: Loss of the walls around the observer.
        antennas_db: Gains of both antennas less the losses of their cables.
    """
    return transmitted_dbm + antennas_db - loss_db + shadowing_db - penetration_db


def noise_dbm(bandwidth_hz: float, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Return the noise of a receiver at room temperature, referred to its input, within a bandwidth.

    Raises:
        InvalidArgumentError: The bandwidth is not positive.
    """
    if not bandwidth_hz > 0:
        raise InvalidArgumentError(f"{bandwidth_hz} Hz is no bandwidth: give a positive number of hertz")
    return _THERMAL_NOISE_DBM_PER_HZ + 10 * math.log10(bandwidth_hz) + noise_figure_db


def level_dbfs(level_dbm: float, gain_db: float, full_scale_dbm: float = 0.0) -> float:
    """Return what a level at the input becomes, relative to the full scale of a receiver of some gain.

    `full_scale_dbm` is the input that would fill the scale at a gain of 0 dB.
    """
    return level_dbm + gain_db - full_scale_dbm


class Shadowing:
    """Log-normal shadowing as a function of the place: two visits to one place agree.

    The level is a sum of plane waves over the ground, with the wave numbers for which the correlation of two places
    falls with their distance as exp(-d / 50 m) in every direction.

    Source: Gudmundson, "Correlation model for shadow fading in mobile radio systems", 1991, for the correlation; Cai
    and Giannakis, "A two-dimensional channel simulation model for shadowing processes", 2003, for sums of waves.
    """

    def __init__(self, deviation_db: float, rng: np.random.Generator) -> None:
        # The spectrum of exp(-d/D) over a plane is (1 + (kD)^2)^(-3/2), so a wave number below k has the
        # probability 1 - (1 + (kD)^2)^(-1/2), which is solved for k here, once for each of as many equal parts.
        beyond = 1 - (np.arange(_WAVES) + rng.random(_WAVES)) / _WAVES
        wave_number = np.sqrt(beyond**-2 - 1) / _CORRELATION_M
        direction = rng.uniform(0, 2 * np.pi, _WAVES)
        self._east, self._north = wave_number * np.cos(direction), wave_number * np.sin(direction)
        self._phase = rng.uniform(0, 2 * np.pi, _WAVES)
        self._amplitude_db = deviation_db * np.sqrt(2 / _WAVES)

    def level_db(self, east_m: NDArray[np.float64], north_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the shadowing in dB, positive where more arrives, at places float64 [n] by [n]."""
        if not self._amplitude_db:
            return np.zeros(len(east_m))
        waves = np.cos(np.outer(east_m, self._east) + np.outer(north_m, self._north) + self._phase)
        levels: NDArray[np.float64] = self._amplitude_db * waves.sum(axis=1)
        return levels
