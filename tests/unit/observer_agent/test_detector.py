"""What a detector makes of a model's outputs: every score, and which windows it flags."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from structlog.testing import capture_logs

from bandwatch.artifacts.manifest import (
    BlobReference,
    ErrorStatistics,
    Manifest,
    ModelContent,
    ScoreTable,
    TensorEntry,
)
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.samples import encode_samples
from observer_agent.detection.detector import DetectionOptions, Detector, ScoredWindows
from observer_agent.detection.model import ModelOutputs, ScoringModel, load_model
from observer_agent.detection.pipeline import Pipeline
from observer_agent.receivers.blocks import Block
from observer_agent.settings import ScoreChoice, ThresholdMethod
from tests.unit.observer_agent.hand_fed_receiver import CENTER_HZ, RATE_HZ, HandFedReceiver
from tests.unit.observer_agent.tiny_models import Publisher, expected_errors_db, expected_residuals, score_table

EVERY_SCORE = (
    score_table("combined", 2.5),
    score_table("error", 3.0, log_mean=3.0, log_deviation=0.5),
    score_table("whitened", 4.0, log_mean=1.0, log_deviation=0.25),
    score_table("band", 5.0, log_mean=2.0, log_deviation=0.125),
    score_table("standing", 6.0, log_mean=2.5, log_deviation=0.2),
)


BLOB = BlobReference(digest="0" * 64, size_bytes=4)
MANIFEST = Manifest(
    serial=1,
    model="models/m1",
    band="bands/b1890",
    cell=None,
    parent=None,
    run="runs/r1",
    content=ModelContent(
        family="tiny",
        graph=BLOB,
        tensors=(TensorEntry(name="w", shape=(1,), blob=BLOB),),
        frozen_layers=0,
        error=ErrorStatistics(mean_db=3.0, deviation_db=0.3, windows=100),
        scores=EVERY_SCORE,
        default_score="combined",
        golden_errors_db=(1.0,),
    ),
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)


class Written(ScoringModel):
    """Answers with bands, and with one number a window for the other outputs, that were written down before."""

    def __init__(self, bands: NDArray[np.float32], others: NDArray[np.float32] | None = None) -> None:
        self.name, self.serial, self.manifest = "models/m1", 1, MANIFEST
        self._bands = bands
        self._others = np.ones(len(bands), np.float32) if others is None else others
        self._answered = 0

    def score(self, windows: NDArray[np.uint8]) -> ModelOutputs:
        """Answer with what comes next."""
        rows = slice(self._answered, self._answered + len(windows))
        self._answered = rows.stop
        predicted = np.zeros((len(windows), 25, 128), np.float32)
        return ModelOutputs(self._others[rows], predicted, self._others[rows], self._bands[rows])


def load(publisher: Publisher, *tables: ScoreTable, serial: int = 1, bias: float = 0.0) -> ScoringModel:
    def read_blob(reference: BlobReference) -> bytes:
        return publisher.coordinator.blobs[reference.digest]

    return load_model(publisher.manifest(serial, bias=bias, tables=tables), read_blob, threads=1)


def windows_of(seed: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 125, 128), dtype=np.uint8)


def detect(detector: Detector, windows: NDArray[np.uint8]) -> ScoredWindows:
    return detector.detect(windows, 25 * np.arange(len(windows)))


def bands_of(windows: NDArray[np.uint8]) -> NDArray[np.float64]:
    bands: NDArray[np.float64] = expected_residuals(windows, scale=1, bias=0).reshape(-1, 4, 32).mean(axis=2)
    return bands


def test_every_score_that_the_model_is_calibrated_for_is_that_of_the_textbook(publisher: Publisher) -> None:
    windows = windows_of(1, 12)
    found = detect(Detector(load(publisher, *EVERY_SCORE), DetectionOptions()), windows).scores
    residuals, bands = expected_residuals(windows, scale=1, bias=0), bands_of(windows)
    sums = [bands[max(0, last - 7) : last + 1] for last in range(12)]
    expected = {
        "error": expected_errors_db(windows, scale=1, bias=0),
        "whitened": np.sqrt((residuals**2).mean(axis=1)),
        "band": abs(bands).max(axis=1),
        "standing": [abs(rows.sum(axis=0)).max() / math.sqrt(len(rows)) for rows in sums],
    }
    deviations = [(np.log(expected[table.score]) - table.log_mean) / table.log_deviation for table in EVERY_SCORE[1:]]
    assert found.keys() == {"combined", *expected}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-4)
    np.testing.assert_allclose(found["combined"], np.max(deviations, axis=0), atol=2e-3)


def test_only_scores_with_a_table_count(publisher: Publisher) -> None:
    normal = score_table("band", log_mean=0.5, log_deviation=2.0)
    detector = Detector(load(publisher, score_table("combined"), normal), DetectionOptions())
    found = detect(detector, windows_of(2, 3)).scores
    assert found.keys() == {"combined", "band"}
    np.testing.assert_allclose(found["combined"], (np.log(found["band"]) - 0.5) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "rate", "threshold"),
    [("bound", 0.01, 5.0), ("empirical", 0.01, 6.0), ("gaussian", 0.01, 7.0), ("bound", 0.005, 15.0)],
)
def test_the_threshold_is_that_of_the_wanted_score_and_method_at_the_nearest_rate_that_is_not_above(
    publisher: Publisher, method: ThresholdMethod, rate: float, threshold: float
) -> None:
    options = DetectionOptions(false_alarm_rate=rate, score="band", threshold_method=method)
    found = detect(Detector(load(publisher, *EVERY_SCORE), options), windows_of(3, 20))
    assert (found.score, found.threshold) == ("band", threshold)
    assert found.false_alarm_rate <= rate
    np.testing.assert_array_equal(found.values, found.scores["band"])
    np.testing.assert_array_equal(found.anomalous, found.scores["band"] > threshold)


@pytest.mark.parametrize(("wanted", "used"), [("default", "combined"), ("error", "error"), ("standing", "standing")])
def test_the_models_default_judges_unless_another_score_is_wanted(
    publisher: Publisher, wanted: ScoreChoice, used: str
) -> None:
    with capture_logs() as said:
        found = detect(Detector(load(publisher, *EVERY_SCORE), DetectionOptions(score=wanted)), windows_of(4, 1))
    assert (found.score, said) == (used, [])


def test_a_model_that_lacks_the_wanted_score_falls_back_to_its_default_and_says_so_once(publisher: Publisher) -> None:
    model = load(publisher, score_table("error", 3.0))
    with capture_logs() as said:
        detector = Detector(model, DetectionOptions(score="band"))
        found = [detect(detector, windows_of(seed, 2)) for seed in range(3)]
    assert {(windows.score, windows.threshold) for windows in found} == {("error", 3.0)}
    [line] = said
    assert (line["log_level"], line["wanted"], line["score"]) == ("warning", "band", "error")


@given(seed=st.integers(0, 2**32), parts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_split_of_a_stream_gives_the_same_scores(seed: int, parts: list[int]) -> None:
    bands = np.random.default_rng(seed).normal(size=(sum(parts), 3)).astype(np.float32)
    whole = detect(Detector(Written(bands), DetectionOptions()), windows_of(1, len(bands)))
    detector, begun = Detector(Written(bands), DetectionOptions()), 0
    for count in parts:
        part = detect(detector, windows_of(1, count))
        for name, values in part.scores.items():
            np.testing.assert_array_equal(values, whole.scores[name][begun : begun + count])
        begun += count


def test_after_a_restart_nothing_stands_out_of_windows_before_it() -> None:
    bands = np.full((6, 3), 2.0, np.float32)
    detector = Detector(Written(bands), DetectionOptions())
    before = detect(detector, windows_of(1, 4)).scores["standing"]
    detector.restart()
    after = detect(detector, windows_of(1, 2)).scores["standing"]
    np.testing.assert_allclose(before, 2 * np.sqrt([1, 2, 3, 4]), rtol=1e-6)
    np.testing.assert_allclose(after, 2 * np.sqrt([1, 2]), rtol=1e-6)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("score", "flagged"),
    [
        ("error", [True, True, True]),
        ("whitened", [True, True, True]),
        ("band", [True, False, True]),
        ("standing", [True, False, False]),  # what stands is not known again before eight windows
        ("combined", [True, False, False]),
    ],
)
def test_a_score_that_is_no_finite_number_flags_nothing(score: ScoreChoice, flagged: list[bool], broken: float) -> None:
    bands = np.full((3, 3), 50.0, np.float32)
    bands[1, 1:] = broken, -broken
    written = Written(bands, others=np.full(3, 50.0, np.float32))
    assert detect(Detector(written, DetectionOptions(score=score)), windows_of(1, 3)).anomalous.tolist() == flagged


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("score", ["error", "whitened", "band", "standing", "combined"])
def test_a_window_whose_error_is_no_finite_number_is_never_anomalous(score: ScoreChoice, broken: float) -> None:
    others = np.array([50.0, broken, 50.0], np.float32)
    written = Written(np.full((3, 3), 50.0, np.float32), others)
    found = detect(Detector(written, DetectionOptions(score=score)), windows_of(1, 3))
    assert found.anomalous.tolist() == [True, False, True]


def block_of(frames: int, first_sample: int = 0) -> Block:
    count = round(frames * RATE_HZ * 256e-6) + 1
    noise = np.random.default_rng(first_sample).standard_normal((count, 2), dtype=np.float32).view(np.complex64)[:, 0]
    return Block(encode_samples(noise * np.float32(0.01), "cf32_le"), "cf32_le", first_sample, count)


@pytest.mark.parametrize("change", ["gap", "another model", "no model in between"])
def test_a_gap_and_another_model_begin_afresh(publisher: Publisher, change: str) -> None:
    tables = score_table("standing"), score_table("band")
    first, second = load(publisher, *tables), load(publisher, *tables, serial=2, bias=3.0)
    pipeline = Pipeline(HandFedReceiver(), Band(CENTER_HZ, RATE_HZ), DetectionOptions())
    before = pipeline.push(block_of(300), first).windows
    if change == "gap":
        pipeline.restart()
    if change == "no model in between":
        assert pipeline.push(block_of(300, 10**6), None).windows is None
    after = pipeline.push(block_of(300, 10**7), second if change == "another model" else first).windows
    assert before is not None
    assert after is not None
    for windows in (before, after):
        assert windows.scores["standing"][0] == windows.scores["band"][0]
        assert windows.scores["standing"][1] != windows.scores["band"][1]


def test_without_a_gap_what_stands_reaches_from_block_to_block(publisher: Publisher) -> None:
    model = load(publisher, score_table("standing"), score_table("band"))
    pipeline = Pipeline(HandFedReceiver(), Band(CENTER_HZ, RATE_HZ), DetectionOptions())
    pipeline.push(block_of(300), model)
    after = pipeline.push(block_of(300, 10**6), model).windows
    assert after is not None
    assert after.scores["standing"][0] != after.scores["band"][0]
