"""How busy a cell is by the hour of day, and as weeks go by."""

import math
from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86_400.0
"""Seconds of a day."""
WEEK_S: Final = 7 * DAY_S
"""Seconds of a week."""

_BUSIEST_HOUR: Final = 17.0  # and the quietest is half a day from there


@dataclass(frozen=True)
class DailyLoad:
    """A load that goes up and down once a day as a cosine does.

    Attributes:
        day: Load at 5 in the afternoon.
        night: Load at 5 in the morning.
        growth_per_week: By how much of itself the load grows in a week, every week alike.
    """

    day: float
    night: float
    growth_per_week: float = 0.0

    def at(self, time_s: float) -> float:
        """Return the load, 0 to 1, so many seconds after the midnight of day 0."""
        hour = time_s % DAY_S / 3600
        busy = (1 + math.cos(2 * math.pi * (hour - _BUSIEST_HOUR) / 24)) / 2
        grown = math.exp(math.log1p(self.growth_per_week) * time_s / WEEK_S)
        return min((self.night + (self.day - self.night) * busy) * grown, 1.0)
