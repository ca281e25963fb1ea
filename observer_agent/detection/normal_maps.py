"""How residual and level are spread over normal windows, learnt from the stream while nothing is unusual."""

from typing import Final

import numpy as np

from bandwatch.spectrogram.bands import FRAME_BINS
from observer_agent.detection.event_shapes import Map, Normal

BLOCK_WINDOWS: Final = 16
"""Windows whose mean is one reading of what longer events are compared with."""
_MEMORY_WINDOWS: Final = 10_000
_LEAST_WINDOWS: Final = 64
_LEAST_BLOCKS: Final = 8
_FIRST_RESIDUAL_DB: Final = 2.0
_FIRST_LEVEL_DB: Final = 4.0
_FIRST_STEADY_DB: Final = 0.5
_FIRST_COMMON_DB2: Final = 0.5
_SMALLEST_RESIDUAL_DB: Final = 0.3
_SMALLEST_LEVEL_DB: Final = 1.0
_SMALLEST_STEADY_DB: Final = 0.15


class RunningMoments:
    """Mean and deviation of rows [n, k] over all that was heard, from `memory` rows on with what is older fading."""

    def __init__(self, width: int, memory: int) -> None:
        self.count = 0
        self._memory = memory
        self.mean: Map = np.zeros(width)
        self._variance: Map = np.zeros(width)

    @property
    def deviation(self) -> Map:
        """Root of the mean squared distance from the mean, [k]."""
        deviation: Map = np.sqrt(self._variance)
        return deviation

    def hear(self, rows: Map) -> None:
        """Take in rows [n, k]."""
        if not len(rows):
            return
        total = min(self.count, self._memory) + len(rows)
        share = len(rows) / total
        step = rows.mean(axis=0) - self.mean
        self._variance += share * (rows.var(axis=0) - self._variance + (1 - share) * step**2)
        self.mean = self.mean + share * step
        self.count += len(rows)


class NormalMaps:
    """What is normal for one stream and one model. Until enough was heard, usual figures stand in for deviations."""

    def __init__(self) -> None:
        self._residual = RunningMoments(FRAME_BINS, _MEMORY_WINDOWS)
        self._level = RunningMoments(FRAME_BINS, _MEMORY_WINDOWS)
        self._residual_blocks = RunningMoments(FRAME_BINS, _MEMORY_WINDOWS // BLOCK_WINDOWS)
        self._level_blocks = RunningMoments(FRAME_BINS, _MEMORY_WINDOWS // BLOCK_WINDOWS)
        self._common = RunningMoments(2, _MEMORY_WINDOWS)
        self._waiting: Map = np.empty((0, 2, FRAME_BINS))

    def hear(self, residual: Map, level: Map) -> None:
        """Take in normal windows, residual and level in dB [n, 128], that follow those of the last call."""
        self._residual.hear(residual)
        self._level.hear(level)
        self._common.hear(common_parts(residual))
        rows = np.concatenate((self._waiting, np.stack((residual, level), axis=1)))
        whole = len(rows) // BLOCK_WINDOWS * BLOCK_WINDOWS
        blocks = rows[:whole].reshape(-1, BLOCK_WINDOWS, 2, FRAME_BINS).mean(axis=1)
        self._waiting = rows[whole:]
        self._residual_blocks.hear(blocks[:, 0])
        self._level_blocks.hear(blocks[:, 1])

    def normal(self, level: Map) -> Normal:
        """Return what is normal; before the first normal window, that level and usual figures."""
        known = self._residual.count > 0
        common, uneven = self._common.mean.tolist() if known else (_FIRST_COMMON_DB2, _FIRST_RESIDUAL_DB**2)
        return Normal(
            residual=self._residual.mean,
            residual_deviation=_trusted(self._residual, _LEAST_WINDOWS, _FIRST_RESIDUAL_DB, _SMALLEST_RESIDUAL_DB),
            level=self._level.mean if known else level,
            level_deviation=_trusted(self._level_blocks, _LEAST_BLOCKS, _FIRST_LEVEL_DB, _SMALLEST_LEVEL_DB),
            steady_deviation=_trusted(self._residual_blocks, _LEAST_BLOCKS, _FIRST_STEADY_DB, _SMALLEST_STEADY_DB),
            common=max(common, _SMALLEST_RESIDUAL_DB**2),
            uneven=max(uneven, _SMALLEST_RESIDUAL_DB**2),
        )


def common_parts(residual: Map) -> Map:
    """Return of each window, residual [n, 128], how far bins are off together and what is left, squared: [n, 2]."""
    common = np.median(residual, axis=1)
    left = np.square(residual - common[:, np.newaxis]).mean(axis=1)
    return np.stack((common**2, left), axis=1)


def _trusted(moments: RunningMoments, least: int, first: float, smallest: float) -> Map:
    if moments.count < least:
        return np.full(FRAME_BINS, first)
    return np.maximum(moments.deviation, smallest)
