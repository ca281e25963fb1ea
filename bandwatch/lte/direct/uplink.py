"""The power that an uplink brings to the bins of frames."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.bins import BandBins
from bandwatch.lte.direct.energy import SymbolPowers
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS
from bandwatch.lte.uplink.energy import Transmission
from bandwatch.spectrogram.bands import FRAME_BINS

UPLINK_MAGNITUDE_VARIANCE: Final = 0.5
"""Relative variance of the power of a resource element: it would be near 1 for precoded symbols alone, which sum up to
nearly Gaussian ones, but is 0 for reference signals, and all elements of a user share one sum of powers."""


class SendingUsers(Protocol):
    """The users of a cell, who tell what arrives of them."""

    def next_transmission(self, subframes: int) -> Transmission:
        """Return what is received in the next subframes."""
        ...


class UplinkPowers:
    """The uplink of a cell as a sender.

    Args:
        users: The users.
        subcarriers_hz: float64 [subcarriers], relative to the middle of the band.
        bins: The bins of the band.
    """

    def __init__(self, users: SendingUsers, subcarriers_hz: NDArray[np.float64], bins: BandBins) -> None:
        self.occupied_hz = (float(subcarriers_hz[0]), float(subcarriers_hz[-1]))
        self.pattern = np.zeros((1, 1, FRAME_BINS), np.float32)
        self.beats = np.zeros((1, FRAME_BINS), np.complex64)
        self._users = users
        self._whole, self._cut = (
            tones.reshape(-1, BLOCK_SUBCARRIERS, FRAME_BINS).sum(axis=1) for tones in bins.tones(subcarriers_hz)
        )

    def next_powers(self, subframes: int) -> SymbolPowers:
        """Return what the symbols of the next subframes bring."""
        sent = self._users.next_transmission(subframes)
        whole = sent.energies @ self._whole
        cut = (sent.energies - sent.unbroken) @ self._cut
        return SymbolPowers(whole[np.newaxis], cut[np.newaxis], np.square(whole))
