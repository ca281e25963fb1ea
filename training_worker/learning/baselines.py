"""Simple methods that judge the same windows: what a network has to beat at the same false-alarm rates.

Each is fitted on clean windows and gives every window one score, higher for a more unusual one. The rules and the
one-class SVM compare the 25 target frames with what is normal. The predictors foretell them from the 100 input frames,
as the networks do, and their score is the error in dB. Scores of two methods have nothing in common but their order, so
each method needs thresholds of its own, from clean windows that it was not fitted on.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import (
    CODE_STEP_DB,
    FRAME_BINS,
    FRAME_SECONDS,
    INPUT_FRAMES,
    TARGET_FRAMES,
    WINDOW_FRAMES,
)
from bandwatch.spectrogram.scoring import error_db

FITTED_AT_MOST: Final = 2000
"""Windows that a method is fitted on at most; of more, every second, every third, and so on."""
RADIO_FRAME_SECONDS: Final = 10e-3
"""A radio frame of LTE (3GPP TS 36.211, 4.1), with which synchronisation, broadcast and the silences of TDD repeat."""
OUTLIER_SHARE: Final = 0.01
"""Share of clean windows that the one-class SVM leaves outside: the seed paper's rate of false alarms."""
_REPEATS: Final = 2  # radio frames before each target frame, as many as the input frames hold for all of them
_SUB_BANDS: Final = 8
_ROUNDING_VARIANCE: Final = 1 / 12  # of values rounded to whole codes: no bin can be known more closely
_MEMORIES: Final = np.append(1 - 10 ** np.linspace(0, -3, 31), 1.0)
_VARIANCE_RATIOS: Final = 10 ** np.linspace(-4, 3, 29)

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]


class Baseline(ABC):
    """A method, fitted on clean windows."""

    name: ClassVar[str]

    @abstractmethod
    def scores(self, windows: Codes) -> Floats:
        """Return how unusual each of the windows uint8 [n, 125, 128] is, float32 [n]."""


class Predictor(Baseline):
    """A method that foretells the target frames, and whose score is its error."""

    @abstractmethod
    def predicted(self, windows: Codes) -> Floats:
        """Return codes float32 [n, 25, 128], foretold from the first 100 frames of windows uint8 [n, 125, 128]."""

    def scores(self, windows: Codes) -> Floats:
        """Return the error of each prediction in dB, float32 [n]."""
        return error_db(windows[:, INPUT_FRAMES:], self.predicted(windows))


@dataclass(frozen=True, eq=False)
class KalmanPredictor(Predictor):
    """A Kalman filter in each bin, which knows nothing of the other bins.

    The level of a bin is its normal mean plus an AR(1) process, x[t + 1] = memory x[t] + w, and it is measured in white
    noise, y = mean + x + v. With memory 1 that is a random walk. The filter has settled at its constant gain, so its
    estimate is an exponentially weighted sum of the input frames (Anderson and Moore, Optimal Filtering, 1979, chapter
    4). From there the prediction goes back to the normal mean.
    """

    name: ClassVar[str] = "kalman"
    mean: Wide
    """[128] normal mean, in codes."""
    memory: Wide
    """[128] what is left of x after one frame, 0 to 1."""
    gain: Wide
    """[128] weight of a new measurement, 0 to 1."""

    @classmethod
    def fit(cls, windows: Codes) -> Self:
        """Return the filters that are most likely for clean windows uint8 [n, 125, 128].

        The likelihood is that of the mean periodogram (Whittle, Estimation and information in stationary time series,
        1953), and its maximum is looked for on a grid.

        Raises:
            InvalidArgumentError: They are no windows, or fewer than two.
        """
        codes = _fitting_share(windows)
        mean = codes.mean(axis=(0, 1))
        spectrum = np.fft.rfft(codes - mean.astype(np.float32), axis=1)[:, 1:]
        power = np.square(np.abs(spectrum)).mean(axis=0, dtype=np.float64) / WINDOW_FRAMES
        memory, ratio = _most_likely(np.maximum(power, _ROUNDING_VARIANCE))
        return cls(mean, memory, steady_gain(memory, ratio))

    def predicted(self, windows: Codes) -> Floats:
        """Return codes float32 [n, 25, 128]: the normal mean, and what is left of x after 1 to 25 frames."""
        age = np.arange(INPUT_FRAMES)[::-1, None]
        weights = self.gain * (self.memory * (1 - self.gain)) ** age  # [100, 128]
        x = np.einsum("ntb,tb->nb", windows[:, :INPUT_FRAMES], weights) - self.mean * weights.sum(axis=0)
        left = self.memory ** np.arange(1, TARGET_FRAMES + 1)[:, None]  # [25, 128]
        predicted: Floats = (self.mean + x[:, None] * left).astype(np.float32)
        return predicted


@dataclass(frozen=True, eq=False)
class PeriodicMean(Predictor):
    """The mean of what was measured one and two radio frames earlier, drawn toward the mean of the input frames.

    A radio frame is 39.0625 frames, so the places between two frames are interpolated. The mean of two repeats is
    noisy, and drawing it toward the mean of 100 frames takes some of that noise away.
    """

    name: ClassVar[str] = "periodic-mean"
    share: Wide
    """[128] weight of the repeats, 0 to 1; the rest is the weight of the mean of the input frames."""

    @classmethod
    def fit(cls, windows: Codes) -> Self:
        """Return the predictor whose shares leave the least squared error on clean windows uint8 [n, 125, 128].

        Raises:
            InvalidArgumentError: They are no windows, or fewer than two.
        """
        codes = _fitting_share(windows)
        mean, beat = _mean_and_beat(codes)
        product = (beat * (_targets(codes) - mean)).sum(axis=(0, 1), dtype=np.float64)
        square = np.square(beat).sum(axis=(0, 1), dtype=np.float64)
        return cls(np.clip(product / np.maximum(square, _ROUNDING_VARIANCE), 0, 1))

    def predicted(self, windows: Codes) -> Floats:
        """Return codes float32 [n, 25, 128]: the mean of the input frames, and the share of what repeats."""
        mean, beat = _mean_and_beat(windows)
        return mean + self.share.astype(np.float32) * beat


@dataclass(frozen=True, eq=False)
class OneClassSvm(Baseline):
    """A one-class support vector machine (Schoelkopf and others, Neural Computation 13, 2001) on `features`.

    Features are counted in normal deviations from their normal means. The kernel is RBF with gamma 1 / features.
    """

    name: ClassVar[str] = "one-class-svm"
    scaler: StandardScaler
    machine: OneClassSVM

    @classmethod
    def fit(cls, windows: Codes) -> Self:
        """Return the machine that encloses all but `OUTLIER_SHARE` of clean windows uint8 [n, 125, 128].

        Raises:
            InvalidArgumentError: They are no windows, or fewer than two.
        """
        scaler = StandardScaler()
        scaled = scaler.fit_transform(features(_fitting_share(windows)))
        return cls(scaler, OneClassSVM(nu=OUTLIER_SHARE, gamma="scale").fit(scaled))

    def scores(self, windows: Codes) -> Floats:
        """Return how far outside of the boundary each window is, in units of the kernel, float32 [n]."""
        inside: Wide = self.machine.decision_function(self.scaler.transform(features(windows)))
        return -inside.astype(np.float32)


@dataclass(frozen=True, eq=False)
class ReceivedPower(Baseline):
    """The distance of the received power from its normal mean, to either side, in normal deviations."""

    name: ClassVar[str] = "received-power"
    mean_db: float
    deviation_db: float

    @classmethod
    def fit(cls, windows: Codes) -> Self:
        """Return the rule for what clean windows uint8 [n, 125, 128] hold.

        Raises:
            InvalidArgumentError: They are no windows, or fewer than two.
        """
        power_db = mean_power_db(_targets(_fitting_share(windows)), axis=(1, 2))
        return cls(float(power_db.mean()), max(float(power_db.std()), CODE_STEP_DB * _ROUNDING_VARIANCE**0.5))

    def scores(self, windows: Codes) -> Floats:
        """Return the distance of the power of each window's target frames, float32 [n]."""
        distance = (mean_power_db(_targets(windows), axis=(1, 2)) - self.mean_db) / self.deviation_db
        return np.abs(distance).astype(np.float32)


@dataclass(frozen=True, eq=False)
class BinMeans(Baseline):
    """The distance of the spectrum from the normal one: a Mahalanobis distance that takes bins for independent."""

    name: ClassVar[str] = "bin-means"
    mean: Wide
    """[128] normal mean of the target frames, in codes."""
    deviation: Wide
    """[128] normal deviation of that mean from window to window, in codes."""

    @classmethod
    def fit(cls, windows: Codes) -> Self:
        """Return the normal spectrum of clean windows uint8 [n, 125, 128].

        Raises:
            InvalidArgumentError: They are no windows, or fewer than two.
        """
        means = _targets(_fitting_share(windows)).mean(axis=1)
        return cls(means.mean(axis=0), np.maximum(means.std(axis=0), _ROUNDING_VARIANCE**0.5))

    def scores(self, windows: Codes) -> Floats:
        """Return the root mean square over all bins of their distance in normal deviations, float32 [n]."""
        distance = (_targets(windows).mean(axis=1) - self.mean) / self.deviation
        scores: Floats = np.sqrt(np.square(distance).mean(axis=1)).astype(np.float32)
        return scores


BASELINES: Final[Mapping[str, Callable[[Codes], Baseline]]] = MappingProxyType(
    {method.name: method.fit for method in (KalmanPredictor, PeriodicMean, OneClassSvm, ReceivedPower, BinMeans)}
)
"""The fit of every method by its name: clean windows uint8 [n, 125, 128] to the fitted method."""


def features(windows: Codes) -> Wide:
    """Return float64 [n, 272]: what the one-class SVM knows of the target frames of windows uint8 [n, 125, 128].

    Mean and deviation of each of the 128 bins over the 25 frames, in codes. Then of each of 8 sub-bands of 16 bins the
    power in dB, and the root mean square of the change from one frame to the next, in codes.
    """
    targets = _targets(windows)
    sub_bands = targets.reshape(len(windows), TARGET_FRAMES, _SUB_BANDS, -1)
    squared_change = np.square(np.diff(sub_bands.astype(np.float32), axis=1)).mean(axis=(1, 3))
    power_db = mean_power_db(sub_bands, axis=(1, 3))
    return np.hstack([targets.mean(axis=1), targets.std(axis=1), power_db, np.sqrt(squared_change)])


def mean_power_db(codes: Codes, axis: tuple[int, ...]) -> Wide:
    """Return the mean over those axes of the powers that the codes stand for, in dB relative to code 0."""
    power = 10 ** (np.arange(256) * CODE_STEP_DB / 10)
    return np.asarray(10 * np.log10(power[codes].mean(axis=axis)))


def steady_gain(memory: Wide, variance_ratio: Wide) -> Wide:
    """Return the gain P / (P + r) at which the Kalman filter of an AR(1) process in white noise settles.

    P, the variance of the process predicted one frame ahead, solves P = memory^2 P r / (P + r) + q. Here r, the
    variance of the noise v, is 1, and the ratio is q / r with the variance q of w: P^2 + (1 - memory^2 - q) P = q.
    """
    half = (1 - memory**2 - variance_ratio) / 2
    predicted = np.sqrt(half**2 + variance_ratio) - half
    return np.asarray(predicted / (predicted + 1))


def _most_likely(power: Wide) -> tuple[Wide, Wide]:
    """Return memory [128] and ratio of variances [128] of the processes behind a periodogram [62, 128] without zero.

    A candidate's spectrum is r shape(frequency), and its most likely r is the mean of power / shape.
    """
    memory, ratio = (axis.ravel() for axis in np.meshgrid(_MEMORIES, _VARIANCE_RATIOS))
    angle = 2 * np.pi * np.arange(1, len(power) + 1) / WINDOW_FRAMES
    shape = 1 + ratio[:, None] / np.square(np.abs(1 - memory[:, None] * np.exp(1j * angle)))  # [candidates, 62]
    r = (1 / shape) @ power / len(power)  # [candidates, 128]
    best = (np.log(r) + np.log(shape).mean(axis=1, keepdims=True)).argmin(axis=0)
    return memory[best], ratio[best]


def _mean_and_beat(windows: Codes) -> tuple[Floats, Floats]:
    """Return the mean of the input frames [n, 1, 128], and what their repeats add to it [n, 25, 128], in codes."""
    inputs = windows[:, :INPUT_FRAMES].astype(np.float32)
    mean = inputs.mean(axis=1, keepdims=True)
    return mean, _repeat_weights() @ inputs - mean


def _repeat_weights() -> Floats:
    """Return float32 [25, 100]: the weights of the input frames in the mean of the repeats of each target frame."""
    periods = np.arange(1, _REPEATS + 1) * RADIO_FRAME_SECONDS / FRAME_SECONDS
    place = np.arange(INPUT_FRAMES, WINDOW_FRAMES)[:, None] - periods  # [25, repeats]
    distance = np.abs(place[:, :, None] - np.arange(INPUT_FRAMES))
    weights: Floats = np.maximum(1 - distance, 0).mean(axis=1).astype(np.float32)
    return weights


def _targets(windows: Codes) -> Codes:
    return windows[:, INPUT_FRAMES:]


def _fitting_share(windows: Codes) -> Codes:
    """Return at most `FITTED_AT_MOST` of the windows, evenly taken."""
    if windows.dtype != np.uint8 or windows.shape[1:] != (WINDOW_FRAMES, FRAME_BINS):
        raise InvalidArgumentError(f"a baseline is fitted on uint8 [n, 125, 128], not {windows.dtype} {windows.shape}")
    if len(windows) <= 1:
        raise InvalidArgumentError("one window does not show what varies: fit a baseline on two clean windows or more")
    return windows[:: -(-len(windows) // FITTED_AT_MOST)]
