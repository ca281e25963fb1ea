"""Frames against Welch's formula written with numpy, and codes against their inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FLOOR_DB, FrameMaker, decode_frames, encode_frames

CENTER_HZ = 880e6
WIDE = Band(CENTER_HZ, 5e6)
NARROW = Band(CENTER_HZ, 1.92e6)


def _noise(count: int) -> NDArray[np.complex64]:
    return np.random.default_rng(6).standard_normal(2 * count, dtype=np.float32).view(np.complex64) / 30


def _tone(frequency_hz: float, sample_rate_hz: float, count: int) -> NDArray[np.complex64]:
    samples = np.arange(count, dtype=np.float64)
    tone: NDArray[np.complex128] = np.exp(samples * (2j * np.pi * frequency_hz / sample_rate_hz))
    return tone.astype(np.complex64)


def _welch_db(iq: NDArray[np.complex64], width_hz: float) -> NDArray[np.float64]:
    """Give all whole frames of a stream at the band's own rate, one segment after another (Welch 1967)."""
    hann = np.sin(np.pi * np.arange(128) / 128) ** 2
    frame_samples = round(width_hz) * 256 / 1_000_000
    frames: list[NDArray[np.float64]] = []
    while round((len(frames) + 1) * frame_samples) <= iq.size:
        start = round(len(frames) * frame_samples)
        frame = iq[start : start + int(frame_samples)].astype(np.complex128)
        segments = [frame[first : first + 128] for first in range(0, frame.size - 127, 64)]
        powers = [np.abs(np.fft.fftshift(np.fft.fft(segment * hann)) / hann.sum()) ** 2 for segment in segments]
        frames.append(10 * np.log10(np.mean(powers, axis=0)))
    return np.array(frames)


@pytest.mark.parametrize("band", [WIDE, NARROW, Band(CENTER_HZ, 1.4e6)])
def test_frames_are_welch_spectra_of_each_256_microseconds(band: Band) -> None:
    iq = _noise(40_000)
    frames = FrameMaker(band, band.width_hz, CENTER_HZ).push(iq)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, _welch_db(iq, band.width_hz), atol=1e-3)


@pytest.mark.parametrize("band", [WIDE, NARROW])
@pytest.mark.parametrize("offset_hz", [1e5, -77_777.0])
def test_frames_of_a_capture_beside_the_centre_are_those_of_the_mixed_stream(band: Band, offset_hz: float) -> None:
    iq = _noise(30_000)
    mixed = iq * _tone(-offset_hz, band.width_hz, iq.size)
    maker = FrameMaker(band, band.width_hz, CENTER_HZ - offset_hz)
    frames = np.concatenate([maker.push(piece) for piece in np.array_split(iq, 7)])
    np.testing.assert_allclose(frames, _welch_db(mixed, band.width_hz), atol=2e-3)


@pytest.mark.parametrize(
    ("sample_rate_hz", "offset_hz"), [(5e6, 0.0), (5e6, 3e5), (7.68e6, 0.0), (7.68e6, 1e6), (4.6e6, 1e5), (20e6, -6e6)]
)
@pytest.mark.parametrize("bin_index", [4, 40, 64, 124])
def test_a_full_scale_tone_in_the_middle_of_a_bin_reads_0_db_there(
    sample_rate_hz: float, offset_hz: float, bin_index: int
) -> None:
    tone_hz = offset_hz + (bin_index - 64) * WIDE.width_hz / 128
    frames = FrameMaker(WIDE, sample_rate_hz, CENTER_HZ - offset_hz).push(_tone(tone_hz, sample_rate_hz, 100_000))
    steady = frames[1:]
    assert np.all(steady.argmax(axis=1) == bin_index)
    np.testing.assert_allclose(steady[:, bin_index], 0, atol=0.01)


@settings(deadline=None)  # the first example builds filters
@given(
    rate=st.sampled_from([(WIDE, 5e6, 0.0), (NARROW, 1.92e6, 1e5), (WIDE, 7.68e6, 3e5), (NARROW, 2.4e6, 0.0)]),
    cuts=st.lists(st.integers(0, 60_000), max_size=6),
)
def test_any_split_of_the_input_gives_the_same_frames(rate: tuple[Band, float, float], cuts: list[int]) -> None:
    band, sample_rate_hz, offset_hz = rate
    iq = _noise(60_000)
    whole = FrameMaker(band, sample_rate_hz, CENTER_HZ - offset_hz).push(iq)
    maker = FrameMaker(band, sample_rate_hz, CENTER_HZ - offset_hz)
    split = np.concatenate([maker.push(piece) for piece in np.split(iq, sorted(cuts))])
    np.testing.assert_allclose(split, whole, atol=1e-3)


def test_resampled_white_noise_is_flat_but_for_the_edge_bins() -> None:
    mean_db = FrameMaker(WIDE, 7.68e6, CENTER_HZ).push(_noise(1_000_000)).mean(axis=0)
    assert np.ptp(mean_db[2:-1]) < 0.5
    assert np.all(mean_db[[0, 1, -1]] < mean_db[64])


def test_the_uncovered_edge_of_a_band_shows_the_opposite_edge_of_the_capture() -> None:
    just_above_the_capture_hz = -0.96e6 + 3 * 15e3
    iq = _tone(just_above_the_capture_hz, 1.92e6, 10_000)
    frames = FrameMaker(NARROW, 1.92e6, CENTER_HZ - 1e5).push(iq)
    uncovered_hz = just_above_the_capture_hz + 1.92e6 - 1e5
    assert np.all(frames.argmax(axis=1) == round(64 + uncovered_hz / 15e3))


def test_frames_after_a_reset_do_not_know_what_came_before() -> None:
    iq = _noise(30_000)
    maker = FrameMaker(NARROW, 1.92e6, CENTER_HZ)
    maker.push(_noise(12_345))
    maker.reset()
    np.testing.assert_allclose(maker.push(iq), _welch_db(iq, 1.92e6), atol=1e-3)


def test_digital_silence_reads_the_floor() -> None:
    frames = FrameMaker(WIDE, 5e6, CENTER_HZ).push(np.zeros(2_560, dtype=np.complex64))
    np.testing.assert_array_equal(frames, np.full((2, 128), FLOOR_DB, dtype=np.float32))


def test_a_push_that_completes_no_frame_gives_none() -> None:
    maker = FrameMaker(WIDE, 5e6, CENTER_HZ)
    assert maker.push(_noise(0)).shape == (0, 128)
    assert maker.push(_noise(1_279)).shape == (0, 128)
    assert maker.push(_noise(1)).shape == (1, 128)


@pytest.mark.parametrize(("sample_rate_hz", "offset_hz"), [(3.99e6, 0.0), (5e6, 5.1e5), (float("nan"), 0.0)])
def test_a_capture_that_misses_over_a_tenth_of_the_band_is_refused_with_what_is_needed(
    sample_rate_hz: float, offset_hz: float
) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"tune .* at 5 MS/s, or sample at {4 + 2e-6 * offset_hz:g} MS/s"):
        FrameMaker(WIDE, sample_rate_hz, CENTER_HZ + offset_hz)


def test_a_band_narrower_than_a_segment_a_frame_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="at least 500000 Hz wide"):
        FrameMaker(Band(CENTER_HZ, 499_999), 499_999, CENTER_HZ)


@given(
    frames_db=hnp.arrays(np.float32, (3, 128), elements=st.floats(-120, 7.5, width=32)),
    reference_db=st.sampled_from([-120.0, -119.75]),
)
def test_codes_are_within_a_quarter_decibel(frames_db: NDArray[np.float32], reference_db: float) -> None:
    inside = np.clip(frames_db, reference_db, reference_db + 127.5)
    decoded = decode_frames(encode_frames(inside, reference_db), reference_db)
    assert decoded.dtype == np.float32
    assert np.abs(decoded - inside).max() <= 0.25 + np.spacing(np.float32(128))


@given(codes=hnp.arrays(np.uint8, (2, 128)), reference_db=st.floats(-200, 0, width=32))
def test_encoding_inverts_decoding(codes: NDArray[np.uint8], reference_db: float) -> None:
    np.testing.assert_array_equal(encode_frames(decode_frames(codes, reference_db), reference_db), codes)


def test_levels_out_of_range_take_the_nearest_code() -> None:
    frames_db = np.array([[-200.0, 50.0] * 64], dtype=np.float32)
    assert encode_frames(frames_db, -120.0)[0, :2].tolist() == [0, 255]
