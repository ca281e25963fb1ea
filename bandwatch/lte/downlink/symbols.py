"""The symbols that a cell sends for what it serves.

Source: 3GPP TS 36.211, 6.3 to 6.11 and 7.1. Control carries random QPSK symbols, and data random 16QAM symbols, whose
power fluctuates nearly as that of 64QAM symbols does.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.control import LARGEST_SYMBOLS, ControlRegion
from bandwatch.lte.downlink.energy import VARIANTS
from bandwatch.lte.downlink.grid import BROADCAST_SUBFRAME, REFERENCE_SYMBOLS
from bandwatch.lte.downlink.plan import EnergyPlan, Service
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, SUBFRAME_SYMBOLS
from bandwatch.lte.sequences import gold_sequence, qpsk

BLOCK_FRAMES: Final = 4
"""Radio frames over which the broadcast channel repeats one message (6.6.1)."""

_BROADCAST_BITS: Final = 1920
_MESSAGE_BITS: Final = 120  # coded bits of one message, repeated until they fill 1920 (TS 36.212, 5.3.1.3)
_QPSK: Final = qpsk(np.array([0, 0, 0, 1, 1, 0, 1, 1], np.uint8))
_SIZES: Final = np.array([1, 3], np.float32) / np.sqrt(np.float32(5))  # of both parts of a 16QAM symbol (7.1.3)
_CONSTELLATION: Final = np.concatenate([_QPSK.real * i + 1j * _QPSK.imag * q for i in _SIZES for q in _SIZES] + [_QPSK])
"""By code: 16QAM symbols, the lowest two bits of whose codes are their signs, and then QPSK symbols."""
_DATA_SYMBOLS: Final = 16
_PAIRED: Final = np.array([2, 1], np.uint8)
"""Which bits of a symbol's code turn it into -x* and x*: what port 1 sends of the second and first of a pair."""


class DownlinkSymbols:
    """Draws the symbols of all ports, subframe after subframe.

    Args:
        config: The cell.
        broadcast: int64 [240], flat positions of the broadcast channel in its subframe.
        control: The cell's control region.
        plan: The energy of each resource element.
        known: complex64 [ports, 10, 14, subcarriers], reference and synchronisation signals.
        rng: Where the symbols come from.
    """

    def __init__(
        self,
        config: CellConfig,
        broadcast: NDArray[np.int64],
        control: ControlRegion,
        plan: EnergyPlan,
        known: NDArray[np.complex64],
        rng: np.random.Generator,
    ) -> None:
        self._ports = config.ports
        self._control = control
        self._rng = rng
        self._known = known
        unknown = np.repeat((self._known[:, :, 0] == 0).all(axis=0), VARIANTS, axis=0)
        self._indicator = np.sqrt(plan.fixed[0, :, 0]) * unknown
        self._control_amplitude = np.sqrt(plan.control[0, :, :LARGEST_SYMBOLS])
        self._without_data = plan.data[0, :, :LARGEST_SYMBOLS] == 0
        self._data_amplitude = np.sqrt(plan.data[0])
        self._broadcast = broadcast
        self._scrambling = gold_sequence(config.cell_identity, _BROADCAST_BITS).reshape(BLOCK_FRAMES, -1)
        self._message = np.empty(0, np.uint8)
        self._frame = 0
        self._partner, self._flip = _pairs(config)

    def next_grids(self, service: Service) -> NDArray[np.complex64]:
        """Return the symbols of the service that comes next, complex64 [ports, n x 14, subcarriers]."""
        numbers = service.kind // VARIANTS
        amplitude = self._amplitude(service, numbers)
        codes = self._rng.integers(0, _DATA_SYMBOLS, amplitude.shape, np.uint8)
        in_control = codes[:, :LARGEST_SYMBOLS]
        np.copyto(in_control, in_control % len(_QPSK) + _DATA_SYMBOLS, where=self._without_data[service.kind])
        grids = self._known[:, numbers]
        grids[0] += _CONSTELLATION[codes] * amplitude
        if self._ports > 1:
            paired = codes.reshape(len(codes), -1)[:, self._partner] ^ self._flip
            grids[1] += _CONSTELLATION[paired].reshape(amplitude.shape) * amplitude
        self._put_broadcast(grids, numbers)
        return grids.reshape(self._ports, -1, grids.shape[-1])

    def _amplitude(self, service: Service, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the amplitude of the random symbols of each port, float32 [n, 14, subcarriers]."""
        amplitude: NDArray[np.float32] = self._data_amplitude[service.kind]
        amplitude *= np.repeat(np.sqrt(service.blocks), BLOCK_SUBCARRIERS, axis=1)[:, np.newaxis]
        filled = self._control.fill(service.control_share, numbers, self._rng)
        amplitude[:, :LARGEST_SYMBOLS] += filled * self._control_amplitude[service.kind]
        amplitude[:, 0] += self._indicator[service.kind]
        return amplitude

    def _put_broadcast(self, grids: NDArray[np.complex64], numbers: NDArray[np.int64]) -> None:
        """Put in one message repeated in four frames, each with its quarter of the scrambling (6.6)."""
        elements = grids.reshape(*grids.shape[:2], -1)
        for index in np.flatnonzero(numbers == BROADCAST_SUBFRAME):
            quarter = self._frame % BLOCK_FRAMES
            if quarter == 0:
                self._message = self._rng.integers(0, 2, _MESSAGE_BITS, np.uint8)
            bits = np.resize(self._message, self._scrambling.shape[1]) ^ self._scrambling[quarter]
            first = qpsk(bits) / np.sqrt(np.float32(self._ports))
            elements[0, index, self._broadcast] = first
            if self._ports > 1:
                elements[1, index, self._broadcast] = _diversity(first)
            self._frame += 1


def _diversity(first: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return what port 1 sends while port 0 sends x0, x1, x2, ...: -x1*, x0*, -x3*, ... (6.3.4.3)."""
    pairs = first.conj().reshape(-1, 2)[:, ::-1] * np.array([-1, 1], np.float32)
    return pairs.reshape(-1)


def _pairs(config: CellConfig) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return for each element of a subframe the one that it is paired with, and how its code changes (6.3.4.3).

    Pairs are neighbours among the elements that carry no reference signals of the two ports.
    """
    subcarriers = config.resource_blocks * BLOCK_SUBCARRIERS
    partner = np.arange(SUBFRAME_SYMBOLS * subcarriers).reshape(SUBFRAME_SYMBOLS, subcarriers)
    flip = np.zeros(partner.shape, np.uint8)
    for symbol in range(SUBFRAME_SYMBOLS):
        columns = np.arange(subcarriers)
        if symbol in REFERENCE_SYMBOLS:
            columns = columns[columns % 3 != config.cell_identity % 3]
        pairs = columns.reshape(-1, 2)
        partner[symbol, pairs] = partner[symbol, pairs[:, ::-1]]
        flip[symbol, pairs] = _PAIRED
    return partner.reshape(-1), flip.reshape(-1)
