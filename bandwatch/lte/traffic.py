"""Who is served when: users that come and go, callers with a steady rhythm, and system information.

The three together give what a predictor can learn from (bursts that last, and a period of 20 ms) and what it cannot.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

PERIOD_SUBFRAMES: Final = 20
"""Callers are served every 20 ms (TS 36.331, SPS-Config, sf20), and system information comes as often."""
SYSTEM_INFORMATION_SUBFRAME: Final = 5
"""Subframe 5 of every even frame carries SIB1 (TS 36.331, 5.2.1.2)."""

_SUBFRAMES_PER_TRANSFER: Final = 16.0  # mean size of a transfer, in subframes of the whole band
_TRANSFER_SPREAD: Final = 1.0  # of the logarithm of that size
_CALL_SUBFRAMES: Final = 20_000
_CALL_BLOCKS: Final = 2
_SYSTEM_BLOCKS: Final = 4
_MOST_USERS: Final = 32  # further users find the cell full and go elsewhere
_USER_PERIODS: Final = (1, 1, 2, 5)
_UPLINK_GRANTS: Final = 3.0  # mean per subframe of a full cell
_GROUP_SIZES: Final = ((10, 1), (26, 2), (63, 3))  # allocation type 0: TS 36.213, table 7.1.6.1-1


@dataclass(slots=True)
class _User:
    """A transfer in progress: every `period` subframes it takes what is free of its own stretch of the band."""

    blocks: int
    period: int
    phase: int
    remaining: int


@dataclass(frozen=True)
class Schedule:
    """What is served in n subframes.

    Attributes:
        blocks: bool [n, resource_blocks], the resource block pairs in use.
        grants: int64 [n], grants that the control region announces.
    """

    blocks: NDArray[np.bool_]
    grants: NDArray[np.int64]


class Traffic:
    """An endless schedule. Sets of resource blocks are integers here, bit b for block b.

    `load` is the share of resource block pairs that arriving users ask for: 0 leaves system information only, and 1
    keeps the cell nearly always full.

    Raises:
        InvalidArgumentError: The load is outside 0 to 1.
    """

    def __init__(self, resource_blocks: int, load: float, rng: np.random.Generator) -> None:
        if not 0 <= load <= 1:
            raise InvalidArgumentError(f"a load of {load} makes no sense: give a share from 0 to 1")
        self._resource_blocks = resource_blocks
        self._load = load
        self._rng = rng
        self._group = next(size for most, size in _GROUP_SIZES if resource_blocks <= most)
        self._subframe = 0
        self._users: list[_User] = []
        self._system = self._stretch(_SYSTEM_BLOCKS)
        self._calls = [self._call() for _ in range(round(load * resource_blocks / 2))]

    def next_subframes(self, count: int) -> Schedule:
        """Return the schedule of the next subframes."""
        rng = self._rng
        arrivals = rng.poisson(self._load / _SUBFRAMES_PER_TRANSFER, count)
        call_ends = rng.random(count) < len(self._calls) / _CALL_SUBFRAMES
        grants = rng.poisson(self._load * _UPLINK_GRANTS, count)
        rows = []
        for index in range(count):
            for _ in range(min(int(arrivals[index]), _MOST_USERS - len(self._users))):
                self._users.append(self._user())
            if call_ends[index]:
                self._calls[int(rng.integers(len(self._calls)))] = self._call()
            row, granted = self._serve()
            rows.append(row)
            grants[index] += granted
            self._subframe += 1
        return Schedule(self._as_array(rows), grants)

    def _serve(self) -> tuple[int, int]:
        """Serve one subframe and return its resource blocks and the number of its grants."""
        phase = self._subframe % PERIOD_SUBFRAMES
        row, granted = 0, 0
        for call_phase, blocks in self._calls:
            if call_phase == phase:
                row |= blocks
        if phase == SYSTEM_INFORMATION_SUBFRAME:
            row |= self._system
            granted += 1
        for user in self._users:
            taken = user.blocks & ~row
            if taken and self._subframe % user.period == user.phase:
                row |= taken
                user.remaining -= taken.bit_count()
                granted += 1
        self._users = [user for user in self._users if user.remaining > 0]
        return row, granted

    def _user(self) -> _User:
        """Draw a user."""
        rng = self._rng
        mean = _SUBFRAMES_PER_TRANSFER * self._resource_blocks
        size = mean * math.exp(_TRANSFER_SPREAD * rng.standard_normal() - _TRANSFER_SPREAD**2 / 2)
        width = max(1, self._resource_blocks >> int(rng.integers(4)))
        period = _USER_PERIODS[int(rng.integers(len(_USER_PERIODS)))]
        return _User(self._stretch(width), period, int(rng.integers(period)), max(1, round(size)))

    def _call(self) -> tuple[int, int]:
        """Draw a call: its subframe of every 20, and its resource blocks."""
        return int(self._rng.integers(PERIOD_SUBFRAMES)), self._stretch(_CALL_BLOCKS)

    def _stretch(self, width: int) -> int:
        """Draw neighbouring resource blocks that start on the border of an allocation group."""
        starts = (self._resource_blocks - width) // self._group + 1
        return ((1 << width) - 1) << (self._group * int(self._rng.integers(starts)))

    def _as_array(self, rows: list[int]) -> NDArray[np.bool_]:
        """Return sets of resource blocks as bool [n, resource_blocks]."""
        width = self._resource_blocks // 8 + 1
        packed = np.frombuffer(b"".join(row.to_bytes(width, "little") for row in rows), np.uint8).reshape(-1, width)
        return np.unpackbits(packed, axis=1, count=self._resource_blocks, bitorder="little").astype(np.bool_)
