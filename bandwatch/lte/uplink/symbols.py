"""The samples of an uplink: random symbols for what is sent, precoded, on the subcarriers of SC-FDMA symbols.

Source: 3GPP TS 36.211, 5.3 to 5.7. A user's delay turns its subcarriers as an echo within the cyclic prefix would.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, SLOT_SYMBOLS, SUBCARRIER_HZ, SUBFRAME_SYMBOLS, Numerology
from bandwatch.lte.sequences import qpsk
from bandwatch.lte.uplink.energy import COMBS, Sending, Transmission
from bandwatch.lte.uplink.layout import REFERENCE_SYMBOL
from bandwatch.lte.uplink.sequences import (
    PREAMBLE_FIRST,
    PREAMBLE_LENGTH,
    PREAMBLE_RATIO,
    cyclic_shifts,
    preamble_blocks,
    preamble_spectrum,
    reference_sequence,
)

_REFERENCE_SYMBOLS: Final = (REFERENCE_SYMBOL, SLOT_SYMBOLS + REFERENCE_SYMBOL)
_PREAMBLE_PREFIX: Final = (3168, 24576)  # its share of the preamble behind it (table 5.7.1-1)


def subcarrier_hz(numerology: Numerology) -> NDArray[np.float64]:
    """Return the frequency of each subcarrier, float64 [subcarriers], relative to the carrier, which none falls on.

    Source: TS 36.211, 5.6.
    """
    half = numerology.subcarriers // 2
    return (np.arange(-half, half, dtype=np.float64) + 0.5) * SUBCARRIER_HZ


def modulate(grid: NDArray[np.complex64], numerology: Numerology) -> NDArray[np.complex64]:
    """Turn whole slots of resource elements [slots x 7, subcarriers] into samples complex64 [slots, slot_samples].

    A grid filled with elements of unit power gives samples of unit mean power.

    Source: TS 36.211, 5.6.
    """
    first, other = numerology.prefixes
    size, half = numerology.fft_size, numerology.subcarriers // 2
    spectrum = np.zeros((len(grid), size), np.complex64)
    spectrum[:, -half:] = grid[:, :half]
    spectrum[:, :half] = grid[:, half:]
    spectrum *= np.float32(size / np.sqrt(numerology.subcarriers))
    periods = scipy.fft.ifft(spectrum, axis=1, overwrite_x=True).reshape(-1, SLOT_SYMBOLS, size)
    periods *= np.exp(1j * np.pi * np.arange(size) / size).astype(np.complex64)
    samples = np.empty((len(periods), numerology.slot_samples), np.complex64)
    # Half a subcarrier changes its sign from one period to the next, and a prefix belongs to the one before.
    samples[:, :first] = -periods[:, 0, -first:]
    samples[:, first : first + size] = periods[:, 0]
    others = samples[:, first + size :].reshape(-1, SLOT_SYMBOLS - 1, other + size)
    others[:, :, :other] = -periods[:, 1:, -other:]
    others[:, :, other:] = periods[:, 1:]
    return samples


class UplinkSymbols:
    """Draws the symbols of one cell's users."""

    def __init__(
        self, cell_identity: int, numerology: Numerology, delays_s: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self._cell_identity = cell_identity
        self._numerology = numerology
        turns = np.exp(-2j * np.pi * np.outer(delays_s, subcarrier_hz(numerology)))
        self._turns: NDArray[np.complex64] = turns.astype(np.complex64)
        self._rng = rng

    def samples(self, transmission: Transmission) -> NDArray[np.complex64]:
        """Return samples complex64 [n] whose expected energies are those of the transmission."""
        subframes = len(transmission.sounded)
        grid = np.zeros((subframes, SUBFRAME_SYMBOLS, self._numerology.subcarriers), np.complex64)
        self._add_data(grid, transmission.data, transmission.sounded)
        self._add_control(grid, transmission.control)
        self._add_sounding(grid, transmission.sounding)
        samples = modulate(grid.reshape(subframes * SUBFRAME_SYMBOLS, -1), self._numerology).reshape(subframes, -1)
        self._add_preambles(samples, transmission.random_access)
        return samples.reshape(-1)

    def _add_data(self, grid: NDArray[np.complex64], data: Sending, sounded: NDArray[np.bool_]) -> None:
        """Put in the shared channel: precoded data, and a reference signal in the middle of each slot."""
        places = data.places
        for width in np.unique(places.width):
            rows = np.flatnonzero(places.width == width)
            size = int(width) * BLOCK_SUBCARRIERS
            symbols = scipy.fft.fft(self._qpsk(len(rows), SUBFRAME_SYMBOLS, size), axis=2, norm="ortho")
            symbols[:, _REFERENCE_SYMBOLS] = self._references(len(rows), size)[:, np.newaxis]
            symbols[sounded[places.subframe[rows]], -1] = 0
            self._add(grid, data, rows, places.first[rows, 0] * BLOCK_SUBCARRIERS, symbols)

    def _add_control(self, grid: NDArray[np.complex64], control: Sending) -> None:
        """Put in the control channel: a block in each slot, with sequences of QPSK symbols (5.4, 5.5.1.2)."""
        rows = np.arange(len(control.gains))
        for slot in range(2):
            symbols = self._qpsk(len(rows), SLOT_SYMBOLS, BLOCK_SUBCARRIERS)
            symbols_of_slot = grid[:, slot * SLOT_SYMBOLS : (slot + 1) * SLOT_SYMBOLS]
            self._add(symbols_of_slot, control, rows, control.places.first[:, slot] * BLOCK_SUBCARRIERS, symbols)

    def _add_sounding(self, grid: NDArray[np.complex64], sounding: Sending) -> None:
        """Put in sounding on every second subcarrier of the last symbol; users differ in comb and cyclic shift."""
        if not len(sounding.gains):
            return
        size = int(sounding.places.width[0]) * BLOCK_SUBCARRIERS // COMBS
        start = sounding.places.first[:, 0] * BLOCK_SUBCARRIERS + sounding.places.user % COMBS
        symbols = self._references(len(start), size)[:, np.newaxis]
        self._add(grid[:, -1:], sounding, np.arange(len(start)), start, symbols, COMBS)

    def _add_preambles(self, samples: NDArray[np.complex64], preambles: Sending) -> None:
        """Add preambles to the samples [subframes, samples of a subframe], each at the beginning of its subframe."""
        numerology = self._numerology
        size = numerology.fft_size * PREAMBLE_RATIO
        prefix = size * _PREAMBLE_PREFIX[0] // _PREAMBLE_PREFIX[1]
        scale = size / np.sqrt(numerology.subcarriers * PREAMBLE_RATIO)
        for subframe, first, gains in zip(
            preambles.places.subframe, preambles.places.first[:, 0], preambles.gains, strict=True
        ):
            lines = preamble_spectrum(self._cell_identity, int(self._rng.integers(PREAMBLE_LENGTH)))
            lowest = (first * BLOCK_SUBCARRIERS - numerology.subcarriers // 2) * PREAMBLE_RATIO + PREAMBLE_FIRST
            spectrum = np.zeros(size, np.complex64)
            spectrum[lowest + np.arange(PREAMBLE_LENGTH)] = lines * gains[first + preamble_blocks()] * np.float32(scale)
            sequence = scipy.fft.ifft(spectrum, overwrite_x=True)
            samples[subframe, :prefix] += sequence[-prefix:]
            samples[subframe, prefix : prefix + size] += sequence

    def _add(
        self,
        grid: NDArray[np.complex64],
        sending: Sending,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        symbols: NDArray[np.complex64],
        step: int = 1,
    ) -> None:
        """Add the symbols [rows, symbols, n] of some rows as they arrive, on every step-th subcarrier from the start.

        Several users may send on the same subcarriers.
        """
        columns = starts[:, np.newaxis] + step * np.arange(symbols.shape[2])
        gains = sending.gains[rows[:, np.newaxis], columns // BLOCK_SUBCARRIERS]
        gains *= self._turns[sending.places.user[rows, np.newaxis], columns]
        received = symbols * gains[:, np.newaxis]
        for subframe, first, row in zip(sending.places.subframe[rows], starts, received, strict=True):
            grid[subframe, :, first : first + step * symbols.shape[2] : step] += row

    def _qpsk(self, *shape: int) -> NDArray[np.complex64]:
        """Draw QPSK symbols complex64 [shape]."""
        return qpsk(self._rng.integers(0, 2, (*shape[:-1], 2 * shape[-1]), np.uint8))

    def _references(self, count: int, size: int) -> NDArray[np.complex64]:
        """Draw cyclic shifts of the cell's reference sequence, complex64 [count, size]."""
        shifts = self._rng.integers(0, BLOCK_SUBCARRIERS, count)
        return reference_sequence(self._cell_identity, size) * cyclic_shifts(shifts, size)
