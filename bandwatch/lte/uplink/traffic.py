"""Who sends data when, and on which resource blocks: users whose uploads come in bursts.

A session is a user's bursts of one width and length at a steady rhythm; from a call (one block for one subframe every
20) to an upload (many blocks for 20 subframes) it differs in its figures only. The scheduler gives each burst
neighbouring resource blocks (TS 36.211, 5.3.4; TS 36.213, 8.1.1), which are free until it ends.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

LONGEST_BURST: Final = 20
"""Subframes of the longest burst."""

_PERIODS: Final = np.array([20, 40, 80])
_BURSTS_PER_SESSION: Final = 20.0  # mean
_PLACES_TRIED: Final = 12
_PATIENCE: Final = 20  # subframes that a burst waits before its data go elsewhere
_SETTLING: Final = 2000  # subframes until sessions end about as often as they begin


@dataclass(frozen=True)
class Grants:
    """Resource blocks given to users, one row for each user and subframe.

    Attributes:
        subframe: int64 [n], since the first one asked for.
        user: int64 [n].
        first: int64 [n], first resource block.
        width: int64 [n], resource blocks.
    """

    subframe: NDArray[np.int64]
    user: NDArray[np.int64]
    first: NDArray[np.int64]
    width: NDArray[np.int64]


@dataclass(slots=True)
class _Burst:
    """A burst as it is asked for: its data are there from `start` on."""

    start: int
    user: int
    width: int
    length: int


class UplinkTraffic:
    """The endless grants of the subframes that are uplink; others do not count.

    `load` is the share of resource blocks that users ask for, 0 to 1. A cell that is asked for all of them grants about
    two thirds, because bursts do not fit together without gaps.
    """

    def __init__(self, resource_blocks: int, users: int, load: float, rng: np.random.Generator) -> None:
        self._widths = transform_widths(resource_blocks)
        self._width_shares = 1 / self._widths / np.sum(1 / self._widths)
        self._lengths = np.arange(1, LONGEST_BURST + 1)
        self._length_shares = 1 / self._lengths / np.sum(1 / self._lengths)
        asked = _BURSTS_PER_SESSION * (self._widths @ self._width_shares) * (self._lengths @ self._length_shares)
        self._sessions_of_full_load = resource_blocks / float(asked)
        self.load = load
        self._rng = rng
        self._now = 0
        self._block_free = [0] * resource_blocks
        self._user_free = [0] * users
        self._asked: list[_Burst] = []
        self._granted: list[tuple[int, int, int, int, int]] = []
        self.next_subframes(_SETTLING)

    def next_subframes(self, count: int) -> Grants:
        """Return the grants of the next uplink subframes, in no order."""
        end = self._now + count
        self._asked += self._new_bursts(count)
        due = sorted((burst for burst in self._asked if burst.start < end), key=attrgetter("start"))
        self._asked = [burst for burst in self._asked if burst.start >= end]
        positions = np.array([len(self._block_free) - burst.width + 1 for burst in due], np.int64)
        places = self._rng.integers(0, positions[:, np.newaxis], (len(due), _PLACES_TRIED)).tolist()
        for burst, firsts in zip(due, places, strict=True):
            self._place(burst, firsts)
        grants = self._rows(end)
        self._granted = [granted for granted in self._granted if granted[1] > end]
        self._now = end
        return grants

    def _new_bursts(self, count: int) -> list[_Burst]:
        """Draw the sessions that begin within the next subframes, and return all their bursts."""
        rng = self._rng
        sessions = int(rng.poisson(self.load * self._sessions_of_full_load * count))
        begin = self._now + (count * rng.random(sessions)).astype(np.int64)
        user = rng.integers(0, len(self._user_free), sessions)
        width = rng.choice(self._widths, sessions, p=self._width_shares)
        length = rng.choice(self._lengths, sessions, p=self._length_shares)
        period = rng.choice(_PERIODS, sessions)
        bursts = rng.geometric(1 / _BURSTS_PER_SESSION, sessions)
        rows = np.stack([begin, user, width, length, period, bursts], axis=1).tolist()
        return [_Burst(b + p * burst, u, w, n) for b, u, w, n, p, bursts in rows for burst in range(bursts)]

    def _place(self, burst: _Burst, firsts: list[int]) -> None:
        """Give a burst the first of some places to become free, unless it would have to wait too long."""
        free, width = self._block_free, burst.width
        begin, first = min([(max(free[first : first + width]), first) for first in firsts])
        begin = max(begin, burst.start, self._user_free[burst.user])
        if begin - burst.start > _PATIENCE:
            return
        end = begin + burst.length
        free[first : first + width] = [end] * width
        self._user_free[burst.user] = end
        self._granted.append((begin, end, burst.user, first, width))

    def _rows(self, end: int) -> Grants:
        """Return what has been granted up to an end, one row for each subframe."""
        granted = np.array(self._granted, np.int64).reshape(-1, 5)
        begin, stop = np.maximum(granted[:, 0], self._now), np.minimum(granted[:, 1], end)
        length = np.maximum(stop - begin, 0)
        row = np.repeat(np.arange(len(granted)), length)
        since_begin = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        return Grants(begin[row] + since_begin - self._now, *granted[row, 2:].T)


def transform_widths(resource_blocks: int) -> NDArray[np.int64]:
    """Return the widths that a grant may have, int64 [n]: products of 2, 3 and 5, for a quick transform (5.3.3)."""
    widths = [2**i * 3**j * 5**k for i in range(8) for j in range(5) for k in range(4)]
    return np.array(sorted(width for width in widths if width <= resource_blocks))
