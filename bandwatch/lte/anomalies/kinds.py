"""The kinds of anomalies of the seed paper, and the effect that each has."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies import interference
from bandwatch.lte.anomalies.effects import Effect, Interference, Outage, PowerSteps

KEYED_WIDTH_HZ: Final = 200e3
"""Width of a single-carrier interferer."""
OFDM_WIDTHS_HZ: Final = {"ofdm-5mhz": 5e6, "ofdm-3mhz": 3e6, "ofdm-2mhz": 2e6, "ofdm-1mhz": 1e6}
"""Occupied widths of OFDM interference."""
KEYED_PHASES: Final = {"qpsk-200khz": 4, "bpsk-200khz": 2}
"""Phases of single-carrier interference."""
DOWN_SHARES: Final = {"down-33": 0.33, "down-66": 0.66, "down-100": 1.0}
"""Shares of the band that fall silent."""
POWER_STEPS_DB: Final = {"power-3db": 3.0, "power-5db": 5.0}
"""Steps of the transmit power."""
KINDS: Final[tuple[str, ...]] = (*OFDM_WIDTHS_HZ, *KEYED_PHASES, *DOWN_SHARES, *POWER_STEPS_DB)
"""Every kind of anomaly."""


def is_visible(kind: str, offset_hz: float, sample_rate_hz: float) -> bool:
    """Tell whether samples at that rate can show any of an anomaly of that kind."""
    width_hz = OFDM_WIDTHS_HZ.get(kind, KEYED_WIDTH_HZ)
    adds = kind in OFDM_WIDTHS_HZ or kind in KEYED_PHASES
    return not adds or abs(offset_hz) < (sample_rate_hz + width_hz) / 2


def silent_stretches_hz(share: float, offset_hz: float, band_width_hz: float) -> tuple[tuple[float, float], ...]:
    """Return which frequencies fall silent: a share of the band from `offset_hz` above its lower edge on.

    What would lie above the upper edge goes on from the lower one, so the share is always whole.
    """
    low, high = -band_width_hz / 2, band_width_hz / 2
    start = low + offset_hz % band_width_hz
    stop = start + share * band_width_hz
    return ((start, stop),) if stop <= high else ((start, high), (low, stop - band_width_hz))


def make_effect(
    kind: str,
    power: float,
    offset_hz: float,
    sample_rate_hz: float,
    band_width_hz: float,
    rng: np.random.Generator,
) -> Effect:
    """Return what an anomaly does.

    Args:
        kind: One of `KINDS`.
        power: Mean power of the interference, or of the noise floor that is left behind, were it as wide as the band.
        offset_hz: Where in the spectrum, as `Anomaly` says.
        sample_rate_hz: Samples in a second.
        band_width_hz: The band that shares are taken of, at most the sample rate.
        rng: Where random symbols and noise come from.
    """
    if kind in POWER_STEPS_DB:
        return PowerSteps(POWER_STEPS_DB[kind], sample_rate_hz)
    if kind in DOWN_SHARES:
        silent = silent_stretches_hz(DOWN_SHARES[kind], offset_hz, band_width_hz)
        return Outage(silent, power * sample_rate_hz / band_width_hz, sample_rate_hz, rng)
    return Interference(_waveform(kind, offset_hz, sample_rate_hz, rng) * np.float32(np.sqrt(power)))


def _waveform(kind: str, offset_hz: float, sample_rate_hz: float, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Return a period of interference, complex64 [period], of unit mean power."""
    if kind in OFDM_WIDTHS_HZ:
        return interference.ofdm(OFDM_WIDTHS_HZ[kind], offset_hz, sample_rate_hz, rng)
    symbols = interference.keyed_symbols(KEYED_PHASES[kind], KEYED_WIDTH_HZ, rng)
    return interference.phase_shift_keying(symbols, KEYED_WIDTH_HZ, offset_hz, sample_rate_hz)
