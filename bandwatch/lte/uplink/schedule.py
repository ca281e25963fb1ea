"""Who sends where on each channel of an uplink.

Source: 3GPP TS 36.211, 5; TS 36.213 for the rhythms.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.uplink.config import UplinkConfig
from bandwatch.lte.uplink.layout import PATTERN_SUBFRAMES, RANDOM_ACCESS_BLOCKS, control_block
from bandwatch.lte.uplink.traffic import UplinkTraffic

_REPORT_PERIODS: Final = np.array([10, 20, 40, 80])  # of channel quality (TS 36.213, table 7.2.2-1A)
_SOUNDING_PERIODS: Final = np.array([20, 40, 80, 160])  # of one user (TS 36.213, table 8.2-1)
_PATTERNS: Final = 8  # of 20 subframes, in the longest period
_ANSWERS: Final = 0.5  # to downlink data, in each block of the control channel and subframe of a full cell
_PREAMBLES: Final = 0.2  # mean in each chance of random access


@dataclass(frozen=True)
class Places:
    """Who sends where on one channel, one row for each user and subframe.

    Attributes:
        subframe: int64 [n], since the first one asked for.
        user: int64 [n].
        first: int64 [n, 2], first resource block in either slot.
        width: int64 [n], resource blocks.
    """

    subframe: NDArray[np.int64]
    user: NDArray[np.int64]
    first: NDArray[np.int64]
    width: NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """Who sends where in n subframes that follow one another.

    Attributes:
        data: The shared channel (TS 36.211, 5.3).
        control: The control channel (5.4).
        sounding: Sounding reference signals (5.5.3), in the last symbol of a subframe.
        random_access: Preambles (5.7).
        sounded: bool [n], subframes whose last symbol the shared channel leaves to sounding (5.3.4).
    """

    data: Places
    control: Places
    sounding: Places
    random_access: Places
    sounded: NDArray[np.bool_]


class UplinkSchedule:
    """The endless schedule of an uplink; the same seed and calls give the same one."""

    def __init__(self, config: UplinkConfig, seed: np.random.SeedSequence) -> None:
        traffic, habits = (np.random.default_rng(child) for child in seed.spawn(2))
        self._config = config
        self._layout = config.layout()
        shared_blocks = config.resource_blocks - 2 * self._layout.edge
        self.traffic = UplinkTraffic(shared_blocks, config.users, config.load, traffic)
        self._rng = habits
        self._reporting = self._habits(self._layout.uplink, _REPORT_PERIODS)
        self._sounding = self._habits(self._layout.sounding, _SOUNDING_PERIODS)
        self._subframe = 0

    def next_subframes(self, count: int) -> Schedule:
        """Return the schedule of the next subframes."""
        numbers = np.arange(self._subframe, self._subframe + count)
        layout, pattern = self._layout, numbers % PATTERN_SUBFRAMES
        uplink, chances = layout.uplink[pattern], layout.random_access[pattern]
        self._subframe += count
        return Schedule(
            self._data(uplink, chances),
            self._control(numbers, uplink),
            self._soundings(numbers),
            self._preambles(chances),
            layout.sounding[pattern],
        )

    def _habits(
        self, chances: NDArray[np.bool_], periods: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw each user's period, and the subframe at which it begins, which is one of the chances bool [20]."""
        users = self._config.users
        period = self._rng.choice(periods, users)
        first = self._rng.choice(np.flatnonzero(chances), users)
        return period, first + PATTERN_SUBFRAMES * self._rng.integers(0, _PATTERNS, users)

    def _data(self, uplink: NDArray[np.bool_], chances: NDArray[np.bool_]) -> Places:
        """Return the next of the shared channel; nothing is granted where preambles may come."""
        grants = self.traffic.next_subframes(int(uplink.sum()))
        subframe = np.flatnonzero(uplink)[grants.subframe]
        first = grants.first + self._layout.edge
        access = self._layout.random_access_first
        overlaps = (first < access + RANDOM_ACCESS_BLOCKS) & (first + grants.width > access)
        kept = ~(chances[subframe] & overlaps)
        return _places(subframe[kept], grants.user[kept], first[kept], first[kept], grants.width[kept])

    def _control(self, numbers: NDArray[np.int64], uplink: NDArray[np.bool_]) -> Places:
        """Return the next of the control channel: reports at the users' own rhythm, and answers to downlink data."""
        subframe, user = _due(numbers, *self._reporting)
        blocks = self._config.pucch_blocks
        probability = _ANSWERS * self.traffic.load * uplink[:, np.newaxis]
        answered, place = np.nonzero(self._rng.random((len(numbers), blocks)) < probability)
        answering = self._rng.integers(0, self._config.users, len(answered))
        place = np.concatenate([user % blocks, place])
        first, second = (control_block(place, slot, self._config.resource_blocks) for slot in range(2))
        return _places(np.concatenate([subframe, answered]), np.concatenate([user, answering]), first, second, 1)

    def _soundings(self, numbers: NDArray[np.int64]) -> Places:
        """Return the next sounding."""
        subframe, user = _due(numbers, *self._sounding)
        first = self._layout.sounding_first
        return _places(subframe, user, first, first, self._layout.sounding_width)

    def _preambles(self, chances: NDArray[np.bool_]) -> Places:
        """Return the next preambles, of users drawn at random."""
        counts = self._rng.poisson(_PREAMBLES * chances)
        user = self._rng.integers(0, self._config.users, int(counts.sum()))
        first = self._layout.random_access_first
        return _places(np.repeat(np.arange(len(chances)), counts), user, first, first, RANDOM_ACCESS_BLOCKS)


def _places(
    subframe: NDArray[np.int64],
    user: NDArray[np.int64],
    first: NDArray[np.int64] | int,
    first_of_second_slot: NDArray[np.int64] | int,
    width: NDArray[np.int64] | int,
) -> Places:
    """Return who sends where, with the blocks of both slots side by side."""
    firsts = np.empty((len(user), 2), np.int64)
    firsts[:, 0], firsts[:, 1] = first, first_of_second_slot
    return Places(subframe, user, firsts, np.broadcast_to(width, len(user)))


def _due(
    numbers: NDArray[np.int64], period: NDArray[np.int64], start: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in numbered subframes which users are due, int64 [n] each."""
    subframe, user = np.nonzero((numbers[:, np.newaxis] - start) % period == 0)
    return subframe, user
