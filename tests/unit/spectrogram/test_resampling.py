"""Resampling against the defining sum of a windowed sinc filter, and against tones."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.resampling import Resampler

RATES = [(7.68e6, 5e6, 0.0), (7.68e6, 5e6, 4e5), (20e6, 5e6, -1.1e6), (2.4e6, 1.92e6, 1e4)]


def _noise(count: int) -> NDArray[np.complex64]:
    return np.random.default_rng(5).standard_normal(2 * count, dtype=np.float32).view(np.complex64)


def _kaiser_sinc(time_s: NDArray[np.float64], width_hz: float) -> NDArray[np.float64]:
    """Give the filter in continuous time: cut off at 0.495 of the width, 501 output samples long (Kaiser 1974)."""
    beta = 0.1102 * (80.0 - 8.7)
    inside = np.clip(1 - (time_s * width_hz / 250.5) ** 2, 0, None)
    window = np.where(inside > 0, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0)
    shaped: NDArray[np.float64] = 0.99 * width_hz * np.sinc(0.99 * width_hz * time_s) * window
    return shaped


@pytest.mark.parametrize(("sample_rate_hz", "width_hz", "offset_hz"), RATES)
def test_output_is_the_input_under_the_filter_at_the_time_of_each_output_sample(
    sample_rate_hz: float, width_hz: float, offset_hz: float
) -> None:
    iq = _noise(40_000)
    output = Resampler(sample_rate_hz, width_hz, offset_hz).push(iq)
    checked = np.linspace(0, output.size - 1, 100).astype(int)
    for index in checked:
        time_s = index / width_hz - np.arange(iq.size) / sample_rate_hz
        taps = _kaiser_sinc(time_s, width_hz) * np.exp(2j * np.pi * offset_hz * time_s) / sample_rate_hz
        assert output[index] == pytest.approx(taps @ iq, abs=1e-3)


@pytest.mark.parametrize(("sample_rate_hz", "width_hz", "offset_hz"), RATES)
@pytest.mark.parametrize("place", [-0.48, 0.2, 0.48])
def test_a_tone_inside_the_band_goes_on_without_a_break_through_any_pushes(
    sample_rate_hz: float, width_hz: float, offset_hz: float, place: float
) -> None:
    tone_hz = offset_hz + place * width_hz
    iq = np.exp(2j * np.pi * tone_hz / sample_rate_hz * np.arange(60_000)).astype(np.complex64)
    resampler = Resampler(sample_rate_hz, width_hz, offset_hz)
    output = np.concatenate([resampler.push(piece) for piece in np.array_split(iq, [1, 2, 7_001, 33_333])])
    expected = np.exp(2j * np.pi * tone_hz / width_hz * np.arange(output.size))
    np.testing.assert_allclose(output[300:], expected[300:], atol=1e-3)


@pytest.mark.parametrize(("sample_rate_hz", "width_hz", "offset_hz"), RATES)
def test_a_tone_beside_the_band_is_80_decibels_down(sample_rate_hz: float, width_hz: float, offset_hz: float) -> None:
    tone_hz = offset_hz + 0.51 * width_hz
    iq = np.exp(2j * np.pi * tone_hz / sample_rate_hz * np.arange(60_000)).astype(np.complex64)
    output = Resampler(sample_rate_hz, width_hz, offset_hz).push(iq)
    assert 20 * np.log10(np.abs(output[300:]).max()) < -78


def test_after_a_reset_the_stream_begins_anew() -> None:
    iq = _noise(30_000)
    resampler = Resampler(7.68e6, 5e6, 0.0)
    resampler.push(_noise(12_345))
    resampler.reset()
    np.testing.assert_allclose(resampler.push(iq), Resampler(7.68e6, 5e6, 0.0).push(iq), atol=1e-5)


def test_a_rate_in_no_simple_ratio_to_the_width_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="two whole numbers up to 2048"):
        Resampler(5_000_001.0, 5e6, 0.0)
