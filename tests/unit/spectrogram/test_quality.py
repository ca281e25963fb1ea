"""Clipping by counting, and noise told from signals that were made for the test."""

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FrameMaker, decode_frames, encode_frames
from bandwatch.spectrogram.quality import clipped_share, is_noise_only

CENTER_HZ = 880e6
FRAME_COUNT = 125


@pytest.mark.parametrize(
    ("datatype", "stored"),
    [
        ("cu8", np.array([0, 9, 9, 255, 255, 0, 9, 9, 1, 254], dtype=np.uint8)),
        ("ci8", np.array([-128, 9, 9, 127, 127, -128, 9, 9, -127, 126], dtype=np.int8)),
        ("ci16_le", np.array([-32768, 9, 9, 32767, 32767, -32768, 9, 9, -32767, 32766], dtype="<i2")),
        ("cf32_le", np.array([-1, 0, 0, 1, 1.5, -7, 0, 0, -0.99, 0.99], dtype="<f4")),
    ],
)
def test_a_sample_is_clipped_when_i_or_q_is_at_a_limit(datatype: str, stored: NDArray[np.uint8]) -> None:
    assert clipped_share(stored, datatype) == 3 / 5
    assert clipped_share(stored.tobytes(), datatype) == 3 / 5


def test_no_samples_are_not_clipped() -> None:
    assert clipped_share(b"", "cu8") == 0.0


def _noise(seed: int, count: int) -> NDArray[np.complex64]:
    return np.random.default_rng(seed).standard_normal(2 * count, dtype=np.float32).view(np.complex64) / 100


def _frames(iq: NDArray[np.complex64], sample_rate_hz: float, width_hz: float) -> NDArray[np.float32]:
    return FrameMaker(Band(CENTER_HZ, width_hz), sample_rate_hz, CENTER_HZ).push(iq)[:FRAME_COUNT]


def _count(sample_rate_hz: float) -> int:
    return round((FRAME_COUNT + 8) * 256e-6 * sample_rate_hz)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("sample_rate_hz", "width_hz"), [(6e5, 6e5), (1.92e6, 1.92e6), (5e6, 5e6), (7.68e6, 5e6)])
def test_white_noise_with_a_spike_at_the_centre_is_noise_only(
    seed: int, sample_rate_hz: float, width_hz: float
) -> None:
    iq = _noise(seed, _count(sample_rate_hz)) + np.complex64(0.1 - 0.05j)
    frames = _frames(iq, sample_rate_hz, width_hz)
    assert is_noise_only(frames)
    assert is_noise_only(decode_frames(encode_frames(frames, -120.0), -120.0))


def test_noise_of_a_receiver_with_drooping_edges_and_a_spur_is_noise_only() -> None:
    drooping = scipy.signal.oaconvolve(_noise(8, _count(5e6) + 2), [0.04, 0.92, 0.04], mode="valid")
    spur = 0.005 * np.exp(2j * np.pi * 26 / 128 * np.arange(drooping.size))
    frames = _frames((drooping + spur).astype(np.complex64), 5e6, 5e6)
    mean_db = frames.mean(axis=0)
    assert mean_db[40] - mean_db[2] > 1
    assert mean_db.max() - np.median(mean_db) > 10
    assert is_noise_only(frames)


@pytest.mark.parametrize("bandwidth_hz", [200e3, 1.08e6, 4.5e6])
@pytest.mark.parametrize("seed", range(3))
def test_a_steady_signal_3_db_over_the_noise_in_its_own_bandwidth_is_no_noise(seed: int, bandwidth_hz: float) -> None:
    lowpass = scipy.signal.firwin(401, bandwidth_hz / 5e6)
    wide = _noise(seed + 100, _count(5e6) + 400) * np.float32(10 ** (3 / 20))
    signal = scipy.signal.oaconvolve(wide, lowpass.astype(np.float32), mode="valid")
    away_from_the_centre = np.exp(2j * np.pi * 0.04 * np.arange(signal.size))
    iq = (_noise(seed, signal.size) + signal * away_from_the_centre).astype(np.complex64)
    assert not is_noise_only(_frames(iq, 5e6, 5e6))


def test_noise_that_comes_in_bursts_is_a_signal_though_its_spectrum_is_flat() -> None:
    iq = _noise(7, _count(5e6))
    milliseconds = np.arange(iq.size) // 5_000
    bursts = np.where(milliseconds % 5 == 0, np.float32(1.5), np.float32(1))
    assert not is_noise_only(_frames(iq * bursts, 5e6, 5e6))


def test_digital_silence_holds_no_signal() -> None:
    assert is_noise_only(np.full((FRAME_COUNT, 128), -200, dtype=np.float32))


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="pass 125 or more"):
        is_noise_only(np.zeros((124, 128), dtype=np.float32))
