"""What known sequences make of frames beyond their energies: they meet themselves alike every time.

Reference and synchronisation signals are the same in every radio frame, so how their subcarriers beat within a segment
is no chance. Frames and radio frames begin together every 160 ms, after which the pattern repeats.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.bins import BandBins
from bandwatch.lte.direct.geometry import PERIOD_FRAMES, PERIOD_SYMBOLS
from bandwatch.lte.numerology import FRAME_SYMBOLS, Numerology
from bandwatch.spectrogram.bands import FRAME_BINS, Band
from bandwatch.spectrogram.frames import FrameMaker

PATTERN_FRAMES: Final = 5 * PERIOD_FRAMES
"""Frames after which the pattern repeats, 160 ms."""

_PATTERN_SYMBOLS: Final = 5 * PERIOD_SYMBOLS
_SETTLED: Final = 125  # frames after which a resampler knows nothing of the beginning
_CARRIER_HZ: Final = 1e9  # any other would give the same


def known_pattern(
    known: NDArray[np.complex64], numerology: Numerology, bins: BandBins, offset_hz: float
) -> NDArray[np.float32]:
    """Return what frames of known signals show beyond their energies, float32 [625, 128].

    Args:
        known: complex64 [10, 14, subcarriers], what a port sends in every radio frame.
        numerology: Of the cell.
        bins: The bins of the band.
        offset_hz: The middle of the band less the carrier.
    """
    frame = known.reshape(FRAME_SYMBOLS, -1)
    energies = np.abs(frame) ** 2
    whole, cut = (
        np.tile(energies @ tones, (_PATTERN_SYMBOLS // FRAME_SYMBOLS, 1)).reshape(-1, PERIOD_SYMBOLS, FRAME_BINS)
        for tones in bins.tones(numerology.subcarrier_hz() - offset_hz)
    )
    expected = bins.kernel.whole @ whole + bins.kernel.cut @ cut
    return _seen(known, numerology, bins, offset_hz) - expected.reshape(PATTERN_FRAMES, FRAME_BINS).astype(np.float32)


def known_beats(
    known: NDArray[np.complex64], numerology: Numerology, bins: BandBins, offset_hz: float
) -> NDArray[np.complex64]:
    """Return what frames show of the known signals of one port times the conjugate of another's, complex64 [625, 128].

    With amplitudes g and h of the two ports, frames show 2 Re(g h* beats) beyond what each port shows alone.

    Args:
        known: complex64 [2, 10, 14, subcarriers], what each of two ports sends in every radio frame.
        numerology: Of the cell.
        bins: The bins of the band.
        offset_hz: The middle of the band less the carrier.
    """
    one, other = known
    seen = [_seen(sent, numerology, bins, offset_hz) for sent in (one, other, one + other, one + 1j * other)]
    alone = seen[0] + seen[1]
    beats = ((seen[2] - alone) + 1j * (seen[3] - alone)) / 2
    return beats.astype(np.complex64)


def _seen(
    known: NDArray[np.complex64], numerology: Numerology, bins: BandBins, offset_hz: float
) -> NDArray[np.float32]:
    """Return the power of frames of known signals where a resource element of energy 1 has the power 1."""
    frame = known.reshape(FRAME_SYMBOLS, -1)
    samples = numerology.modulate(np.tile(frame, (2 * _PATTERN_SYMBOLS // FRAME_SYMBOLS, 1))).reshape(-1)
    maker = FrameMaker(Band(_CARRIER_HZ + offset_hz, bins.width_hz), numerology.sample_rate_hz, _CARRIER_HZ)
    frames_db = maker.push(samples)[_SETTLED : _SETTLED + PATTERN_FRAMES]
    seen = np.roll(10 ** (frames_db / 10), _SETTLED, axis=0) * numerology.subcarriers
    return seen.astype(np.float32)
