"""Who is served when: users who come and go, callers with a steady rhythm, system information and paging.

Together they give what a predictor can learn from (users who stay for a while, and periods of 20 ms and more) and what
it cannot.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.subframes import PATTERN_SUBFRAMES, Role, SubframePattern
from bandwatch.lte.downlink.users import MEAN_SUBFRAMES, Users, group_size
from bandwatch.lte.numerology import FRAME_SUBFRAMES

PERIOD_SUBFRAMES: Final = 20
"""Callers are served every 20 ms (TS 36.331, SPS-Config, sf20), and the first system information comes as often."""

_SYSTEM_INFORMATION: Final = ((20, 5), (80, 0), (160, 10))  # period and first subframe
_SYSTEM_BLOCKS: Final = 4
_PAGES: Final = 0.3  # in each frame of a full cell
_CALL_SUBFRAMES: Final = 20_000
_CALL_BLOCKS: Final = 2
_CALL_SHARE: Final = 0.05  # of the load
_UPLINK_GRANTS: Final = 3.0  # mean per subframe of a full cell
_ROLES_WITH_UPLINK_GRANTS: Final = (Role.DOWNLINK, Role.SPECIAL, Role.MULTICAST)


@dataclass(frozen=True)
class Schedule:
    """What is served in n subframes.

    Attributes:
        blocks: float32 [n, resource_blocks], 1 for the resource block pairs in use and 0 for the others.
        grants: int64 [n], grants that the control region announces.
    """

    blocks: NDArray[np.float32]
    grants: NDArray[np.int64]


@dataclass(frozen=True)
class _Call:
    """A call: its subframe of every 20, and its resource blocks."""

    phase: int
    blocks: int


class Traffic:
    """An endless schedule. Sets of resource blocks are integers here, bit b for block b.

    The load is the share of resource block pairs that arriving users ask for, in the subframes that users may have: 0
    leaves system information only (TS 36.331, 5.2), and 1 keeps the cell nearly always full. A multicast subframe is
    full with that probability, and else empty.

    Raises:
        InvalidArgumentError: The load is outside 0 to 1.
    """

    def __init__(self, resource_blocks: int, load: float, pattern: SubframePattern, rng: np.random.Generator) -> None:
        self._resource_blocks = resource_blocks
        self._rng = rng
        self._start = 0
        self._rows: list[int] = []
        self._grants: list[int] = []
        self._whole = (1 << resource_blocks) - 1
        self._roles = pattern.roles
        self._serves_users = pattern.serves_users()
        self._openings = [at for at in range(PATTERN_SUBFRAMES) if self._serves_users[at]]
        self._paging = FRAME_SUBFRAMES - 1 if Role.UPLINK not in pattern.roles else 0
        self._system = self._stretch(_SYSTEM_BLOCKS)
        self._users = Users(resource_blocks, rng)
        self.set_load(load)
        self._users.arrive(int(rng.poisson(self._users.usual_number(load))))
        self._calls = [self._call() for _ in range(int(rng.poisson(self._usual_calls)))]

    def set_load(self, load: float) -> None:
        """Change the load from now on; whoever is being served stays.

        Raises:
            InvalidArgumentError: The load is outside 0 to 1.
        """
        if not 0 <= load <= 1:
            raise InvalidArgumentError(f"a load of {load} makes no sense: give a share from 0 to 1")
        self._load = load
        share = len(self._openings) / PATTERN_SUBFRAMES
        self._arrivals = load * (1 - _CALL_SHARE) * share / MEAN_SUBFRAMES
        blocks_per_period = load * _CALL_SHARE * share * self._resource_blocks * PERIOD_SUBFRAMES
        self._usual_calls = blocks_per_period / _CALL_BLOCKS

    def next_subframes(self, count: int) -> Schedule:
        """Return the schedule of the next subframes; it does not depend on how many are asked for at a time."""
        while len(self._rows) < count:
            self._plan_piece()
        rows, self._rows = self._rows[:count], self._rows[count:]
        grants, self._grants = self._grants[:count], self._grants[count:]
        return Schedule(self._as_array(rows), np.array(grants, np.int64))

    def _plan_piece(self) -> None:
        """Plan 40 subframes."""
        rng = self._rng
        arrivals = rng.poisson(self._arrivals, PATTERN_SUBFRAMES).tolist()
        chances = rng.random(PATTERN_SUBFRAMES).tolist()
        uplink = rng.poisson(self._load * _UPLINK_GRANTS, PATTERN_SUBFRAMES).tolist()
        self._renew_calls()
        for at, role in enumerate(self._roles):
            if arrivals[at]:
                self._users.arrive(arrivals[at])
            row, granted = self._serve(at, role, chances[at])
            self._rows.append(row)
            self._grants.append(granted + uplink[at] * (role in _ROLES_WITH_UPLINK_GRANTS))
        self._start += PATTERN_SUBFRAMES

    def _serve(self, at: int, role: Role, chance: float) -> tuple[int, int]:
        """Serve one subframe and return its resource blocks and the number of its downlink grants."""
        if role is Role.MULTICAST:
            return self._whole * (chance < self._load), 0
        row, granted = self._announcements(at, chance)
        if self._serves_users[at]:
            for call in self._calls:
                if call.phase == at % PERIOD_SUBFRAMES:
                    row |= call.blocks
            blocks, served = self._users.serve(row)
            return row | blocks, granted + served
        return row, granted

    def _announcements(self, at: int, chance: float) -> tuple[int, int]:
        """Return the resource blocks and grants of system information and pages (TS 36.331, 5.2; TS 36.304, 7.2)."""
        subframe = self._start + at
        messages = sum(subframe % period == first for period, first in _SYSTEM_INFORMATION)
        messages += at % FRAME_SUBFRAMES == self._paging and chance < self._load * _PAGES
        return self._system if messages else 0, messages

    def _renew_calls(self) -> None:
        """End some calls and begin others, as 40 ms bring about."""
        share = PATTERN_SUBFRAMES / _CALL_SUBFRAMES
        stay = self._rng.random(len(self._calls)) >= share
        self._calls = [call for call, stays in zip(self._calls, stay, strict=True) if stays]
        self._calls += [self._call() for _ in range(int(self._rng.poisson(self._usual_calls * share)))]

    def _call(self) -> _Call:
        """Draw a call in a subframe that users may have."""
        at = self._openings[int(self._rng.integers(len(self._openings)))]
        return _Call(at % PERIOD_SUBFRAMES, self._stretch(_CALL_BLOCKS))

    def _stretch(self, width: int) -> int:
        """Draw neighbouring resource blocks that start on the border of an allocation group."""
        size = group_size(self._resource_blocks)
        starts = (self._resource_blocks - width) // size + 1
        return ((1 << width) - 1) << (size * int(self._rng.integers(starts)))

    def _as_array(self, rows: list[int]) -> NDArray[np.float32]:
        """Return sets of resource blocks as float32 [n, resource_blocks]."""
        width = self._resource_blocks // 8 + 1
        packed = np.frombuffer(b"".join(row.to_bytes(width, "little") for row in rows), np.uint8).reshape(-1, width)
        return np.unpackbits(packed, axis=1, count=self._resource_blocks, bitorder="little").astype(np.float32)
