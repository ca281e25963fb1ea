"""How time and frequency divide in an LTE downlink with the normal cyclic prefix, and grids as samples.

Source: 3GPP TS 36.211, 4.1, 6.2 and 6.12.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

SUBCARRIER_HZ: Final = 15_000
"""Distance between subcarriers (6.2.3)."""
BLOCK_SUBCARRIERS: Final = 12
"""Subcarriers of a resource block (6.2.3)."""
SLOT_SYMBOLS: Final = 7
"""OFDM symbols of a slot (6.2.3)."""
SUBFRAME_SYMBOLS: Final = 14
"""OFDM symbols of a subframe, which is two slots and lasts 1 ms (4.1)."""
FRAME_SUBFRAMES: Final = 10
"""Subframes of a radio frame (4.1)."""
FRAME_SYMBOLS: Final = FRAME_SUBFRAMES * SUBFRAME_SYMBOLS
"""OFDM symbols of a radio frame."""

UPLINK_DOWNLINK: Final = (
    "DSUUUDSUUU",
    "DSUUDDSUUD",
    "DSUDDDSUDD",
    "DSUUUDDDDD",
    "DSUUDDDDDD",
    "DSUDDDDDDD",
    "DSUUUDSUUD",
)
"""Subframes of a frame in TDD by uplink-downlink configuration: downlink, special, uplink (table 4.2-2)."""

_FFT_SIZES: Final = {6: 128, 15: 256, 25: 512, 50: 1024}
_REFERENCE_FFT: Final = 2048
_FIRST_PREFIX: Final = 160
_OTHER_PREFIX: Final = 144


@dataclass(frozen=True)
class Numerology:
    """The sizes that follow from the number of resource blocks: 6, 15, 25 or 50.

    Raises:
        InvalidArgumentError: The number is another one.
    """

    resource_blocks: int

    def __post_init__(self) -> None:
        if self.resource_blocks not in _FFT_SIZES:
            choices = ", ".join(map(str, _FFT_SIZES))
            raise InvalidArgumentError(
                f"{self.resource_blocks} resource blocks are not simulated: choose from {choices}"
            )

    @property
    def subcarriers(self) -> int:
        """Subcarriers that carry signal."""
        return self.resource_blocks * BLOCK_SUBCARRIERS

    @property
    def fft_size(self) -> int:
        """Samples of an OFDM symbol without its prefix."""
        return _FFT_SIZES[self.resource_blocks]

    @property
    def sample_rate_hz(self) -> float:
        """Samples in a second."""
        return float(self.fft_size * SUBCARRIER_HZ)

    @property
    def slot_samples(self) -> int:
        """Samples of a slot: 0.5 ms."""
        return self.fft_size * SUBCARRIER_HZ // 2000

    @property
    def prefixes(self) -> tuple[int, int]:
        """Samples of the cyclic prefix of the first symbol of a slot, and of the others (6.12)."""
        return (
            _FIRST_PREFIX * self.fft_size // _REFERENCE_FFT,
            _OTHER_PREFIX * self.fft_size // _REFERENCE_FFT,
        )

    def subcarrier_hz(self) -> NDArray[np.float64]:
        """Return the frequency of each subcarrier, float64 [subcarriers], relative to the carrier.

        The carrier itself, 0 Hz, lies between the two middle subcarriers of the grid and stays unused (6.12).
        """
        half = self.subcarriers // 2
        index = np.concatenate([np.arange(-half, 0), np.arange(1, half + 1)])
        return index.astype(np.float64) * SUBCARRIER_HZ

    def symbol_times_s(self, slots: int) -> NDArray[np.float64]:
        """Return when each OFDM symbol begins after its prefix, float64 [slots x 7], since the first slot began."""
        first, other = self.prefixes
        in_slot = first + np.arange(SLOT_SYMBOLS) * (self.fft_size + other)
        starts = np.arange(slots)[:, np.newaxis] * self.slot_samples + in_slot
        return starts.reshape(-1) / self.sample_rate_hz

    def modulate(self, grid: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Turn whole slots of resource elements [slots x 7, subcarriers] into samples complex64 [slots, slot_samples].

        A grid filled with elements of unit power gives samples of unit mean power. Symbols join without a window.

        Source: TS 36.211, 6.12.
        """
        first, other = self.prefixes
        size, half = self.fft_size, self.subcarriers // 2
        spectrum = np.zeros((len(grid), size), np.complex64)
        spectrum[:, -half:] = grid[:, :half]
        spectrum[:, 1 : half + 1] = grid[:, half:]
        spectrum *= np.float32(size / np.sqrt(self.subcarriers))
        symbols = scipy.fft.ifft(spectrum, axis=1, overwrite_x=True).reshape(-1, SLOT_SYMBOLS, size)
        samples = np.empty((len(symbols), self.slot_samples), np.complex64)
        samples[:, :first] = symbols[:, 0, -first:]
        samples[:, first : first + size] = symbols[:, 0]
        others = samples[:, first + size :].reshape(-1, SLOT_SYMBOLS - 1, other + size)
        others[:, :, :other] = symbols[:, 1:, -other:]
        others[:, :, other:] = symbols[:, 1:]
        return samples
