"""Anomalies in real samples: where they are, how strong, and what stays clean."""

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.windows import cut_windows
from tests.unit.training_worker.sigmf_cells import RATE_HZ, write_cell
from training_worker.evaluation.injection import (
    Injected,
    anomalies_of,
    begun_frames,
    standing_frames,
    sudden_windows,
)
from training_worker.evaluation.recordings import Recording, read_recording, split

LOCAL_S = 0.4


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(write_cell(tmp_path_factory.mktemp("cell"), "cell", seed=4))


def power(codes: np.ndarray) -> float:
    return float(np.mean(10 ** (codes.astype(np.float64) / 20)))


@pytest.mark.parametrize("sir_db", [0.0, 10.0])
def test_interference_has_the_ratio_of_the_local_power_to_its_own(recording: Recording, sir_db: float) -> None:
    local, rest = split(recording, LOCAL_S)
    mixed = standing_frames(recording, LOCAL_S, Injected("qpsk-200khz", sir_db, 50e3, 0))
    added = power(mixed) - power(rest)
    assert len(mixed) == len(rest)
    assert 10 * np.log10(power(local) / added) == pytest.approx(sir_db, abs=1.0)


def test_frequencies_that_go_down_leave_a_floor_30_db_below_the_cell(recording: Recording) -> None:
    local, _ = split(recording, LOCAL_S)
    mixed = standing_frames(recording, LOCAL_S, Injected("down-100", None, 0.0, 0))
    assert 10 * np.log10(power(local) / power(mixed)) == pytest.approx(30, abs=1.0)


def test_a_sudden_step_of_power_is_constant_from_its_beginning_on(recording: Recording) -> None:
    _, rest = split(recording, LOCAL_S)
    step = Injected("power-3db", None, 0.0, 0)
    standing = standing_frames(recording, LOCAL_S, step)
    begun = begun_frames(recording, LOCAL_S, step, standing)
    np.testing.assert_allclose(begun.astype(int) - rest, 6, atol=1)
    assert np.any(standing == rest)


def test_other_sudden_anomalies_are_the_standing_ones_from_their_beginning_on(recording: Recording) -> None:
    tone = Injected("qpsk-200khz", 0.0, 0.0, 0)
    standing = standing_frames(recording, LOCAL_S, tone)
    assert begun_frames(recording, LOCAL_S, tone, standing) is standing


def test_a_sudden_window_is_clean_up_to_one_of_the_first_ten_target_frames() -> None:
    clean = cut_windows(np.zeros((1000, 128), np.uint8), 5)
    found = sudden_windows(clean, np.ones_like(clean), seed=7)
    first = np.array([np.flatnonzero(window[:, 0])[0] for window in found])
    assert set(first.tolist()) == set(range(100, 110))
    assert all(window[start:].all() and not window[:start].any() for window, start in zip(found, first, strict=True))


def test_only_interference_comes_at_every_ratio() -> None:
    found = anomalies_of(["down-33", "qpsk-200khz", "power-3db"], [0.0, 10.0], 0.0, RATE_HZ, 0)
    assert [one.label for one in found] == ["down-33", "qpsk-200khz at 0 dB", "qpsk-200khz at 10 dB", "power-3db"]


@pytest.mark.parametrize(("kind", "offset_hz", "words"), [("hum", 0.0, "choose from"), ("qpsk-200khz", 5e6, "smaller")])
def test_what_cannot_be_mixed_in_is_refused(kind: str, offset_hz: float, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        anomalies_of([kind], [10.0], offset_hz, RATE_HZ, 0)
