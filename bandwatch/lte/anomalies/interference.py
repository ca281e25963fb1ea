"""Waveforms of foreign transmitters, one period of about 0.1 s that joins its own beginning without a step.

Every waveform is complex64 [period] of unit mean power, in the part of its spectrum that the sample rate can show.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from bandwatch.lte.numerology import SUBCARRIER_HZ
from bandwatch.lte.sequences import qpsk

ROLL_OFF: Final = 0.22
"""Roll-off of the root-raised-cosine pulses."""

_PERIOD_SECONDS: Final = 0.1
_SYMBOL_SECONDS: Final = 1e-3 / 14
_PREFIX_SHARE: Final = 9 / 128


def ofdm(width_hz: float, offset_hz: float, sample_rate_hz: float, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Return OFDM with QPSK on every subcarrier within the width around the offset; subcarriers are 15 kHz apart."""
    size = round(sample_rate_hz / SUBCARRIER_HZ)
    prefix = round(size * _PREFIX_SHARE)
    inside = np.abs(scipy.fft.fftfreq(size, 1 / sample_rate_hz) - offset_hz) < width_hz / 2
    spectrum = np.zeros((round(_PERIOD_SECONDS / _SYMBOL_SECONDS), size), np.complex64)
    spectrum[:, inside] = qpsk(rng.integers(0, 2, (len(spectrum), 2 * int(inside.sum())), np.uint8))
    symbols = scipy.fft.ifft(spectrum, axis=1)
    return _with_unit_power(np.concatenate([symbols[:, size - prefix :], symbols], axis=1).reshape(-1))


def phase_shift_keying(
    symbols: NDArray[np.complex64], width_hz: float, offset_hz: float, sample_rate_hz: float
) -> NDArray[np.complex64]:
    """Return symbols complex64 [n] as root-raised-cosine pulses that fill the width around the offset.

    The symbol rate is width / 1.22, to within the one in a hundred that a period of convenient length asks for.
    """
    count = len(symbols)
    period = scipy.fft.next_fast_len(round(count * sample_rate_hz * (1 + ROLL_OFF) / width_hz))
    edge = int(count * (1 + ROLL_OFF) / 2)
    bins = np.arange(-edge, edge + 1)
    places = bins + round(offset_hz / sample_rate_hz * period)
    shown = np.abs(places) < period / 2
    spectrum = np.zeros(period, np.complex64)
    spectrum[places[shown]] = (scipy.fft.fft(symbols)[bins % count] * _root_raised_cosine(bins / count))[shown]
    return _with_unit_power(scipy.fft.ifft(spectrum))


def keyed_symbols(phases: int, width_hz: float, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Return random symbols complex64 [n] of 2 or 4 phases, enough for a period."""
    count = round(_PERIOD_SECONDS * width_hz / (1 + ROLL_OFF))
    circle: NDArray[np.complex64] = np.exp(2j * np.pi * np.arange(phases) / phases).astype(np.complex64)
    return circle[rng.integers(0, phases, count)]


def _root_raised_cosine(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the amplitude of the pulse's spectrum at frequencies in symbol rates."""
    beyond = np.clip((np.abs(frequency) - (1 - ROLL_OFF) / 2) / ROLL_OFF, 0, 1)
    return np.cos(np.pi / 2 * beyond)


def _with_unit_power(waveform: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Scale a waveform to unit mean power."""
    power = np.mean(np.abs(waveform) ** 2, dtype=np.float64)
    return waveform / np.float32(np.sqrt(power))
