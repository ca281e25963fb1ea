"""From the residual of a window to scores: the paper's error, and what has more power against narrow signals.

The error of a window is the root mean square of 3200 residuals, in which a signal of a few bins drowns. Its mean over
the 25 target frames is a spectrum of 128 values that fluctuates five times less, and whose normal fluctuation is known:
bins rise and fall together, because resource blocks and whole subframes do. With that taken out, a signal in a band is
sought as a matched filter does it: for the band u and the covariance S of normal residuals r, (u' S^-1 r) over the root
of (u' S^-1 u) is the statistic with the best ratio of signal to noise among all linear ones, and has deviation 1 when
nothing is there (Kay, Fundamentals of Statistical Signal Processing II, 4.3 and 6.4).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, INPUT_FRAMES
from training_worker.learning.networks import Predictor, standardise

BAND_WIDTHS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
"""Widths in bins of the bands in which a signal is sought; neighbours of one width overlap by half."""
SHRINKAGES: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
"""Shares of the covariance that are replaced by its own diagonal; left-out blocks choose among them."""
_SMALLEST_VARIANCE: Final = 1e-4  # dB^2: a bin that never changes must not make a score infinite

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreStatistics:
    """What is normal in a mean residual spectrum in dB, ready to be applied.

    Attributes:
        center: float64 [128], its mean.
        whitener: float64 [128, 128]; (r - center) @ whitener has the identity as covariance.
        bands: float64 [375, 128]; (r - center) @ bands.T are the band residuals, each of deviation 1.
    """

    center: Floats
    whitener: Floats
    bands: Floats

    def apply(self, residuals_db: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return the whitened score [n] and the band residuals [n, 375] of mean residual spectra [n, 128] in dB."""
        centered = residuals_db - self.center
        whitened: Floats = np.sqrt(np.mean(np.square(centered @ self.whitener), axis=1))
        return whitened, centered @ self.bands.T


def band_indicators() -> Floats:
    """Return float64 [375, 128]: a row of zeros and ones for each band."""
    rows = [
        (np.arange(FRAME_BINS) >= start) & (np.arange(FRAME_BINS) < start + width)
        for width in BAND_WIDTHS
        for start in range(0, FRAME_BINS - width + 1, max(1, width // 2))
    ]
    return np.array(rows, np.float64)


def fit_statistics(residuals_db: Floats, shrinkage: float) -> ScoreStatistics:
    """Return the statistics of mean residual spectra float64 [n, 128] in dB, at a shrinkage of the covariance."""
    center = residuals_db.mean(0)
    precision = np.linalg.inv(shrunk_covariance(residuals_db - center, shrinkage))
    indicators = band_indicators()
    filters = indicators @ precision
    power = np.einsum("ji,ji->j", filters, indicators)
    return ScoreStatistics(center, np.linalg.cholesky(precision), filters / np.sqrt(power)[:, np.newaxis])


def no_statistics() -> ScoreStatistics:
    """Return statistics as if every bin fluctuated by 1 dB, independently."""
    indicators = band_indicators()
    widths = indicators.sum(1, keepdims=True)
    return ScoreStatistics(np.zeros(FRAME_BINS), np.eye(FRAME_BINS), indicators / np.sqrt(widths))


def shrunk_covariance(centered_db: Floats, shrinkage: float) -> Floats:
    """Return the covariance [128, 128] of spectra [n, 128] of mean zero, shrunk toward its diagonal."""
    covariance: Floats = centered_db.T @ centered_db / max(1, len(centered_db))
    diagonal = np.diag(np.maximum(np.diag(covariance), _SMALLEST_VARIANCE))
    return (1 - shrinkage) * covariance + shrinkage * diagonal


def choose_shrinkage(residuals_db: Floats, folds: npt.NDArray[np.intp]) -> float:
    """Return the shrinkage under which residuals [n, 128] of each fold are likeliest given the other folds."""
    present = np.unique(folds)
    if len(present) < 2:  # noqa: PLR2004 - nothing can be left out of one fold
        return SHRINKAGES[-1]
    surprise = [
        sum(_surprise(residuals_db[folds != fold], residuals_db[folds == fold], shrinkage) for fold in present)
        for shrinkage in SHRINKAGES
    ]
    return SHRINKAGES[int(np.argmin(surprise))]


def _surprise(fitted_db: Floats, unseen_db: Floats, shrinkage: float) -> float:
    """Return the negative log-likelihood of unseen spectra under a normal distribution, but for constants."""
    center = fitted_db.mean(0)
    covariance = shrunk_covariance(fitted_db - center, shrinkage)
    unseen = unseen_db - center
    _, log_determinant = np.linalg.slogdet(covariance)
    distance = np.einsum("ni,in->", unseen, np.linalg.solve(covariance, unseen.T))
    return float(distance + len(unseen) * log_determinant) / 2


class Scorer(nn.Module):
    """Codes uint8 [n, 125, 128] to all that an observer needs to judge windows.

    The linear transformation is inside, and so are the scores: whoever runs the graph computes what training computed.
    """

    def __init__(self, predictor: Predictor, statistics: ScoreStatistics) -> None:
        super().__init__()
        self.predictor = predictor
        self.score = _ScoreTensors(statistics)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return error in dB [n], predicted codes [n, 25, 128], whitened score [n] and band residuals [n, 375]."""
        standardised, mean, deviation = standardise(codes)
        predicted = self.predictor(standardised[:, :INPUT_FRAMES]) * deviation + mean
        residual_db = CODE_STEP_DB * (codes[:, INPUT_FRAMES:].to(torch.float32) - predicted)
        centered = residual_db.mean(1) - self.score.center
        whitened = (centered @ self.score.whitener).square().mean(1).sqrt()
        return residual_db.square().mean((1, 2)).sqrt(), predicted, whitened, centered @ self.score.bands.T


class _ScoreTensors(nn.Module):
    """The statistics as tensors with names, so that they travel beside the weights."""

    def __init__(self, statistics: ScoreStatistics) -> None:
        super().__init__()
        self.center = _constant(statistics.center)
        self.whitener = _constant(statistics.whitener)
        self.bands = _constant(statistics.bands)


def _constant(values: Floats) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values.astype(np.float32)), requires_grad=False)
