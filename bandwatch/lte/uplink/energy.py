"""What an observer receives of an uplink: who sends where, and the mean energy of each resource element for that."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.numerology import SLOT_SYMBOLS, SUBCARRIER_HZ, SUBFRAME_SYMBOLS, Numerology
from bandwatch.lte.uplink.layout import RANDOM_ACCESS_BLOCKS
from bandwatch.lte.uplink.schedule import Places
from bandwatch.lte.uplink.sequences import PREAMBLE_SECONDS, preamble_blocks

COMBS: Final = 2
"""A user sounds every second subcarrier (5.5.3.2)."""


@dataclass(frozen=True)
class Sending:
    """What is sent on one channel.

    Attributes:
        places: Who sends where.
        gains: complex64 [n, resource_blocks], from the user of each row to the observer.
    """

    places: Places
    gains: NDArray[np.complex64]


@dataclass(frozen=True)
class Transmission:
    """What is received of an uplink in n subframes that follow one another.

    Attributes:
        energies: float32 [n x 14, resource_blocks], mean energy of a resource element in each symbol and resource
            block; 1 is the mean of an element in use, over users and their fading.
        unbroken: float32, alike: what of it goes on over the borders of symbols, as preambles do.
        data: The shared channel.
        control: The control channel.
        sounding: Sounding reference signals.
        random_access: Preambles.
        sounded: bool [n], subframes whose last symbol the shared channel leaves to sounding.
    """

    energies: NDArray[np.float32]
    unbroken: NDArray[np.float32]
    data: Sending
    control: Sending
    sounding: Sending
    random_access: Sending
    sounded: NDArray[np.bool_]


def received_energies(
    data: Sending, control: Sending, sounding: Sending, random_access: Sending, sounded: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean energy of a resource element in each symbol and resource block, float32 [n x 14, blocks].

    And, alike, what of it goes on over the borders of symbols.
    """
    subframes = len(sounded)
    controlled = _energies_in_use(control, subframes)
    slots = controlled + _energies_in_use(data, subframes)
    energies = np.repeat(slots.reshape(2 * subframes, -1), SLOT_SYMBOLS, axis=0)
    by_subframe = energies.reshape(subframes, SUBFRAME_SYMBOLS, -1)
    by_subframe[sounded, -1] = controlled[sounded, -1]
    by_subframe[:, -1] += _energies_in_use(sounding, subframes)[:, -1] / COMBS
    unbroken = np.zeros_like(energies)
    if len(random_access.gains):
        first = random_access.places.first[0, 0]
        blocks = slice(first, first + RANDOM_ACCESS_BLOCKS)
        preambles = _energies_in_use(random_access, subframes)[:, :1, blocks]
        by_subframe[:, :, blocks] += preambles * _PREAMBLE_SHARES
        unbroken.reshape(by_subframe.shape)[:, :, blocks] = preambles * _UNBROKEN_SHARES
    return energies, unbroken


def _energies_in_use(sending: Sending, subframes: int) -> NDArray[np.float32]:
    """Return the energy of an element that a channel uses, float32 [subframes, 2, blocks]."""
    resource_blocks = sending.gains.shape[1]
    block = np.arange(resource_blocks)
    first, width = sending.places.first[:, :, np.newaxis], sending.places.width[:, np.newaxis, np.newaxis]
    row, slot, column = np.nonzero((block >= first) & (block < first + width))
    gains = sending.gains[row, column]
    place = (sending.places.subframe[row] * 2 + slot) * resource_blocks + column
    energies = np.bincount(place, gains.real**2 + gains.imag**2, subframes * 2 * resource_blocks)
    return energies.astype(np.float32).reshape(subframes, 2, resource_blocks)


def _borders_that_go_on() -> NDArray[np.float32]:
    """Return over what part of its two borders a preamble goes on in each of 14 symbols: it ends at one, in two."""
    symbol = np.arange(SUBFRAME_SYMBOLS)
    last = np.flatnonzero(_preamble_shares()[:, 0])[-1]
    return np.where((symbol == 0) | (symbol == last), 0.5, 1).astype(np.float32)


def _preamble_shares() -> NDArray[np.float32]:
    """Return how much of a symbol and a block a preamble fills, float32 [14, 6]; after it, there is silence (5.7.1)."""
    begin = Numerology(6).symbol_times_s(2)
    in_time = np.clip((PREAMBLE_SECONDS - begin) * SUBCARRIER_HZ, 0, 1)
    in_frequency = np.bincount(preamble_blocks()) / np.bincount(preamble_blocks()).max()
    return np.outer(in_time, in_frequency).astype(np.float32)


_PREAMBLE_SHARES: Final = _preamble_shares()
_UNBROKEN_SHARES: Final = _PREAMBLE_SHARES * _borders_that_go_on()[:, np.newaxis]
