"""The power that OFDM symbols bring to the bins of frames: what all senders have in common."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SymbolPowers:
    """What symbols bring to bins where a resource element of energy 1 has the power 1.

    Attributes:
        whole: float32 [ports, symbols, 128], by whole tones.
        cut: float32 [ports, symbols, 128], by cut tones.
        random_square: float32 [symbols, 128], the square of what all ports bring by whole tones, less the square of
            what they bring alike every time, which does not fluctuate.
    """

    whole: NDArray[np.float32]
    cut: NDArray[np.float32]
    random_square: NDArray[np.float32]


class Sender(Protocol):
    """An endless sequence of symbols.

    Attributes:
        occupied_hz: The lowest and the highest frequency that carries symbols, relative to the middle of the band.
        pattern: float32 [ports, frames, 128], what frames show beyond what symbols bring, over and over.
        beats: complex64 [frames, 128], what frames show of the first port's known signals times the second's conjugate,
            as often; of no use with one port.
    """

    occupied_hz: tuple[float, float]
    pattern: NDArray[np.float32]
    beats: NDArray[np.complex64]

    def next_powers(self, subframes: int) -> SymbolPowers:
        """Return what the symbols of the next subframes bring."""
        ...
