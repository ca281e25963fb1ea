"""Users with something to fetch, and how they share the groups of resource blocks.

Source: 3GPP TR 36.814, A.2.1.3 (users arrive at random, and each fetches one file); TS 36.213, 7.1.6.1 (groups).
"""

import math
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import numpy as np

MEAN_SUBFRAMES: Final = 40.0
"""Mean size of what a user fetches, in subframes of the whole band."""

_SIZE_SPREAD: Final = 1.5  # of the logarithm of that size
_CHANGE_SUBFRAMES: Final = 60  # mean time after which a user's rate becomes another one
_MOST_USERS: Final = 24  # further ones find the cell full and go elsewhere
_GROUP_SIZES: Final = ((10, 1), (26, 2), (63, 3))  # TS 36.213, table 7.1.6.1-1


def group_size(resource_blocks: int) -> int:
    """Return how many resource blocks are given to users together (TS 36.213, table 7.1.6.1-1)."""
    return next(size for most, size in _GROUP_SIZES if resource_blocks <= most)


@dataclass(slots=True)
class _User:
    """One who fetches something: the groups it can use at once, blocks still to come, and what it has been given."""

    demand: int
    remaining: int
    groups: list[int] = field(default_factory=list)
    blocks: int = 0


class Users:
    """The users of a cell. Sets of resource blocks are integers here, bit b for block b.

    Each can use so many groups at once, a rate that changes now and then. Together they get no more than there is,
    in proportion. Nobody gives up a group before another one needs it.
    """

    def __init__(self, resource_blocks: int, rng: np.random.Generator) -> None:
        size, whole = group_size(resource_blocks), (1 << resource_blocks) - 1
        self._masks = [((1 << size) - 1) << start & whole for start in range(0, resource_blocks, size)]
        self._free = list(range(len(self._masks)))
        self._mean_size = MEAN_SUBFRAMES * resource_blocks
        self._fastest = max(2.0, len(self._masks) / 3)
        self._rng = rng
        self._users: list[_User] = []
        self._changed = False

    def __len__(self) -> int:
        return len(self._users)

    def usual_number(self, load: float) -> float:
        """Return how many users there are on average at a load, if nobody has to wait."""
        return load * len(self._masks) * (1 - 1 / self._fastest) / math.log(self._fastest)

    def arrive(self, count: int) -> None:
        """Let new users in, as many as find room."""
        for _ in range(min(count, _MOST_USERS - len(self._users))):
            deviation = _SIZE_SPREAD * float(self._rng.standard_normal())
            blocks = self._mean_size * math.exp(deviation - _SIZE_SPREAD**2 / 2)
            self._users.append(_User(self._demand(), max(1, round(blocks))))
            self._changed = True

    def serve(self, taken: int) -> tuple[int, int]:
        """Serve a subframe, and return the resource blocks that users get and how many users are served.

        Args:
            taken: Resource blocks that something else has taken.
        """
        changing = int(self._rng.random() * _CHANGE_SUBFRAMES)
        if changing < len(self._users):
            self._users[changing].demand = self._demand()
            self._changed = True
        if self._changed:
            self._share_out()
        row, served = 0, 0
        for user in self._users:
            blocks = user.blocks & ~taken
            if blocks:
                row |= blocks
                served += 1
                user.remaining -= blocks.bit_count()
                self._changed |= user.remaining <= 0
        return row, served

    def _demand(self) -> int:
        """Draw how many groups a user can use at once; the logarithm is uniform."""
        return round(math.exp(math.log(self._fastest) * self._rng.random()))

    def _share_out(self) -> None:
        """Let those who have everything leave, and bring each user's groups to its share."""
        for user in self._users:
            if user.remaining <= 0:
                self._free += user.groups
        self._users = [user for user in self._users if user.remaining > 0]
        shares = self._shares()
        for user, share in zip(self._users, shares, strict=True):
            self._free += user.groups[share:]
            del user.groups[share:]
        for user, share in zip(self._users, shares, strict=True):
            while len(user.groups) < share:
                user.groups.append(self._free.pop(int(self._rng.random() * len(self._free))))
            user.blocks = sum(self._masks[group] for group in user.groups)
        self._changed = False

    def _shares(self) -> list[int]:
        """Return how many groups each user gets: its demand, or its part where they are too many together."""
        demands = [user.demand for user in self._users]
        groups, total = len(self._masks), sum(demands)
        if total <= groups:
            return demands
        ends = [end * groups // total for end in accumulate(demands)]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]
