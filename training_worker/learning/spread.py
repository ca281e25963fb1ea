"""How a score is spread over normal windows, and the threshold that later windows should not exceed.

Windows of half a second say little: they overlap, they are alike, and the cell will be different in the next half
second. So values count as no more than the independent ones that they are worth, and their variance has two parts:
within runs of windows that follow one another, and between runs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from bandwatch.spectrogram.bands import TARGET_FRAMES
from training_worker.learning.dataset import Indices

_PLENTY: Final = 10.0
_FEWEST_DEGREES: Final = 2.0

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spread:
    """How values are spread within runs of windows and between them, and how well that is known.

    Attributes:
        values: float64 [n], the values themselves.
        effective: The number of independent values that they are worth.
        within: Their variance within runs.
        between: The variance of the means of runs, less what chance explains.
        degrees: Degrees of freedom of the sum of both variances.
    """

    values: Values
    effective: float
    within: float
    between: float
    degrees: float

    @property
    def deviation(self) -> float:
        """What one further value from another stretch of time may be off."""
        return float(np.sqrt(self.within + self.between))

    def bound(self, rate: float) -> float:
        """Return a threshold that later windows exceed at no more than a rate, as far as the values can tell.

        Where they are worth ten times the independent windows that show the rate, it is the conformal quantile, at the
        level (1 - rate) (n + 1) / n, n being the effective number (Vovk et al. 2005). With fewer, it is the upper
        prediction limit of one further value from another stretch of time: mean plus t times the root of
        (within + between) (1 + 1 / n), and no less than the quantile of the values as they are.
        """
        if self.effective >= _PLENTY / rate:
            return self._quantile((1 - rate) * (self.effective + 1) / self.effective)
        off = stats.t.isf(rate, self.degrees) * self.deviation * np.sqrt(1 + 1 / self.effective)
        return max(float(self.values.mean() + off), self._quantile(1 - rate))

    def _quantile(self, level: float) -> float:
        return float(np.quantile(self.values, level, method="higher"))


def spread_of(values: Values, run: Indices, stride_frames: int, drift: float) -> Spread:
    """Return the spread of values [n] of windows in runs [n]; between runs it is a deviation of at least `drift`.

    It is the analysis of variance with one random factor (Searle, Casella and McCulloch 1992, chapter 3),
    and the degrees of freedom of a sum of variances are Satterthwaite's (1946).
    """
    _, place, sizes = np.unique(run, return_inverse=True, return_counts=True)
    means = np.bincount(place, values) / sizes
    centered = values - means[place]
    # With the means taken out: what differs between runs would pass for windows that depend on one another.
    alone = max(effective_windows(centered, run, stride_frames), float(len(means)))
    within = float(np.square(centered).sum()) / max(1, len(values) - len(means))
    chance = within * len(means) / alone
    others = len(means) - 1 or np.inf  # one run alone says nothing of how runs differ
    apart = float(np.average(np.square(means - means.mean()), weights=sizes)) * len(means) / others
    uncertain = within**2 / max(1.0, alone - len(means)) + max(apart, chance) ** 2 / others
    between = max(0.0, apart - chance, drift**2)
    degrees = (within + between) ** 2 / uncertain if uncertain > 0 else np.inf
    effective = effective_windows(values, run, stride_frames)
    return Spread(values, effective, within, between, max(_FEWEST_DEGREES, degrees))


def effective_windows(values: Values, run: Indices, stride_frames: int) -> float:
    """Return how many independent windows are worth as much as values [n] that depend on their neighbours in a run.

    n over the mean, over windows, of the sum of their correlations with all windows of their run. Correlations are
    taken up to the first lag where they are not positive, where noise begins. The result is never more than there are
    stretches of 25 target frames that share none.
    """
    centered = values - values.mean()
    power = float(np.mean(np.square(centered)))
    correlations = 1.0
    for lag in range(1, len(values)):
        together = run[lag:] == run[:-lag]
        if power <= 0 or not together.any():
            break
        correlation = float(np.mean((centered[lag:] * centered[:-lag])[together])) / power
        if correlation <= 0:
            break
        correlations += 2 * correlation * np.count_nonzero(together) / len(values)
    return max(1.0, len(values) / max(1.0, TARGET_FRAMES / stride_frames, correlations))
