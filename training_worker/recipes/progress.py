"""What a run tells of itself while it works, and no more often than anybody could read."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SECONDS_BETWEEN_REPORTS: Final = 2.0
"""A stage is told when it begins, and again after that time."""


@dataclass(frozen=True)
class Progress:
    """The stage in words, the share of the run that is done (0 to 1), and the least validation error so far."""

    stage: str
    share: float
    validation_error_db: float | None


def part_of(report: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    """Return what hears the share of one of `count` equal parts that follow one another."""
    return lambda share: report((number + share) / count)


class ProgressReporter:
    """Thins what a run says after every batch into reports."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._stage = ""
        self._validation_error_db: float | None = None
        self._told_at = 0.0

    def tell(self, stage: str, share: float, validation_error_db: float | None = None) -> None:
        """Report the stage if it is a new one, or an old one not reported for `SECONDS_BETWEEN_REPORTS`."""
        if validation_error_db is not None:
            self._validation_error_db = validation_error_db
        now = time.monotonic()
        if stage == self._stage and now - self._told_at < SECONDS_BETWEEN_REPORTS:
            return
        self._stage, self._told_at = stage, now
        self._report(Progress(stage, round(share, 4), self._validation_error_db))
