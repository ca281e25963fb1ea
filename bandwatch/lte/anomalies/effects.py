"""What an anomaly does to received samples while it lasts: it adds, it silences, or it steps the power."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import signal

STEP_SECONDS: Final = 12.8e-3
"""Time between steps of power: half of a window's input, so that every window holds steps."""

_FILTER_SECONDS: Final = 100e-6


class Effect(Protocol):
    """A change to samples. It depends on their place in the stream alone, not on how the stream is cut."""

    def apply(self, iq: NDArray[np.complex64], at: int, before: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return the changed samples complex64 [n].

        Args:
            iq: complex64 [n], samples as received.
            at: How many samples after the beginning of the anomaly they come.
            before: complex64 [filter_taps - 1], the samples as received just before them.
        """
        ...


def filter_taps(sample_rate_hz: float) -> int:
    """Return the length of the filter that silences frequencies: odd, and 0.1 ms long."""
    return 2 * round(sample_rate_hz * _FILTER_SECONDS / 2) + 1


@dataclass(frozen=True)
class Interference:
    """A waveform complex64 [period] that is added, over and over."""

    waveform: NDArray[np.complex64]

    def apply(self, iq: NDArray[np.complex64], at: int, before: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return the samples with the waveform added."""
        del before
        return iq + np.take(self.waveform, np.arange(at, at + len(iq)), mode="wrap")


@dataclass(frozen=True)
class PowerSteps:
    """A power that steps up by `step_db`, 12.8 ms later steps down again, and so on.

    The noise of the receiver cannot be told from the signal here, so it steps along.
    """

    step_db: float
    sample_rate_hz: float

    def apply(self, iq: NDArray[np.complex64], at: int, before: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return the samples with their power stepped."""
        del before
        step = np.floor(np.arange(at, at + len(iq)) / (STEP_SECONDS * self.sample_rate_hz))
        gains = np.array([10 ** (self.step_db / 20), 1.0], np.float32)
        return iq * gains[step.astype(np.int64) % 2]


class Outage:
    """Frequencies that fall silent: they are filtered out, and a noise floor is left in them.

    The filter delays what remains by half its length, 50 us.
    """

    def __init__(
        self,
        stretches_hz: tuple[tuple[float, float], ...],
        floor_power: float,
        sample_rate_hz: float,
        rng: np.random.Generator,
    ) -> None:
        """Prepare the filter.

        Args:
            stretches_hz: The lowest and highest frequency of each silent stretch.
            floor_power: Mean power of the floor, were it as wide as the sample rate.
            sample_rate_hz: Samples in a second.
            rng: Where the noise comes from.
        """
        taps = filter_taps(sample_rate_hz)
        time = np.arange(taps) - taps // 2
        ideal = np.zeros(taps, np.complex128)
        for low_hz, high_hz in stretches_hz:
            width, middle = (high_hz - low_hz) / sample_rate_hz, (high_hz + low_hz) / 2 / sample_rate_hz
            ideal += width * np.sinc(width * time) * np.exp(2j * np.pi * middle * time)
        self._taps = (ideal * np.hamming(taps)).astype(np.complex64)
        noise = rng.standard_normal(2 * round(sample_rate_hz / 10), np.float32).view(np.complex64)
        self._noise = noise * np.float32(np.sqrt(floor_power / 2))

    def apply(self, iq: NDArray[np.complex64], at: int, before: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return the samples with the silent frequencies replaced: x + h * (noise - x), where h passes only those."""
        received = np.concatenate([before, iq])
        noise = np.take(self._noise, np.arange(at - len(before), at + len(iq)), mode="wrap")
        replaced = signal.oaconvolve(noise - received, self._taps, mode="valid").astype(np.complex64)
        delay = len(self._taps) // 2
        delayed = received[len(before) - delay :][: len(iq)]
        changed: NDArray[np.complex64] = delayed + replaced
        return changed
