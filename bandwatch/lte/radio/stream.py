"""An endless stream of samples with a receiver's noise in it, made block by block and read in pieces of any length."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.numerology import Numerology


class SampleStream(ABC):
    """What is sent, one block after the other, and noise; any way to read it gives the same samples.

    Args:
        numerology: Sizes of the grid, and the sample rate.
        noise_dbfs: Power of the noise in the subcarriers of the grid together, relative to full scale.
        seed: Where the noise comes from.
    """

    def __init__(self, numerology: Numerology, noise_dbfs: float, seed: np.random.SeedSequence) -> None:
        self._numerology = numerology
        self._noise = np.random.Generator(np.random.SFC64(seed))
        used_share = numerology.subcarriers / numerology.fft_size
        self._noise_level = np.float32(np.sqrt(10 ** (noise_dbfs / 10) / used_share / 2))
        self._block = np.empty(0, np.complex64)

    @property
    def sample_rate_hz(self) -> float:
        """Samples in a second."""
        return self._numerology.sample_rate_hz

    def read(self, count: int) -> NDArray[np.complex64]:
        """Return the next samples, complex64 [count]; a full-scale tone has magnitude 1.

        Raises:
            InvalidArgumentError: The count is negative.
        """
        if count < 0:
            raise InvalidArgumentError(f"cannot read {count} samples: ask for 0 or more")
        samples = np.empty(count, np.complex64)
        filled = 0
        while filled < count:
            if not len(self._block):
                self._block = self._next_block()
            piece = self._block[: count - filled]
            samples[filled : filled + len(piece)] = piece
            self._block = self._block[len(piece) :]
            filled += len(piece)
        return samples

    def _next_block(self) -> NDArray[np.complex64]:
        """Return the samples of the next block, with noise."""
        samples = self._next_signal()
        noise = self._noise.standard_normal(2 * len(samples), np.float32)
        noise *= self._noise_level
        samples += noise.view(np.complex64)
        return samples

    @abstractmethod
    def _next_signal(self) -> NDArray[np.complex64]:
        """Return the samples of the next block without noise, complex64, which may be written into."""
