"""Detection rates of students and simple methods on a made-up cell."""

import json

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
from tests.unit.training_worker.sigmf_cells import RATE_HZ, write_cell
from tests.unit.training_worker.small_networks import new_hybrid
from training_worker.evaluation import detection_table
from training_worker.evaluation.detection import DetectionOptions, OnRecording, detect, detect_on
from training_worker.evaluation.injection import anomalies_of
from training_worker.evaluation.rates import ROC_RATES
from training_worker.evaluation.recordings import Recording, read_recording
from training_worker.learning import networks
from training_worker.learning.baselines import BASELINES
from training_worker.learning.networks import LstmConfig

OPTIONS = DetectionOptions(
    kinds=("qpsk-200khz", "down-100"), sirs_db=(-10.0, 40.0), local_s=0.4, families=(networks.LSTM,)
)


def silent(_: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(write_cell(tmp_path_factory.mktemp("cell"), "cell", seed=1))


@pytest.fixture(scope="module")
def found(cell: Recording) -> OnRecording:
    teacher = new_hybrid(LstmConfig(2, 5), combinations=5)
    anomalies = anomalies_of(OPTIONS.kinds, OPTIONS.sirs_db, OPTIONS.offset_hz, RATE_HZ, OPTIONS.seed)
    return detect_on(cell, teacher, anomalies, OPTIONS, silent)


def test_every_score_of_a_student_and_every_simple_method_is_judged_on_every_anomaly_both_ways(
    found: OnRecording,
) -> None:
    methods = {(one.family, one.score) for one in found.detections}
    scores = {(networks.LSTM, score) for score in ("error", "whitened", "band", "standing", "combined")}
    assert methods == scores | {(name, "own") for name in BASELINES}
    cases = {(one.injected.label, one.mode) for one in found.detections}
    labels = ("qpsk-200khz at -10 dB", "qpsk-200khz at 40 dB", "down-100")
    assert cases == {(label, mode) for label in labels for mode in ("standing", "sudden")}
    assert len(found.detections) == len(methods) * len(cases)


def test_a_strong_signal_is_found_and_one_far_below_the_cell_is_not(found: OnRecording) -> None:
    student = [one for one in found.detections if (one.family, one.score) == (networks.LSTM, "combined")]
    strong = [one for one in student if one.injected.sir_db == -10]
    weak = [one for one in student if one.injected.sir_db == 40]
    assert all(one.matched_at(0.01) > 0.99 and one.area > 0.99 and one.default_at(0.01)[0] > 0.99 for one in strong)
    assert all(one.matched_at(0.01) < 0.2 and one.area < 0.7 for one in weak)


def test_matched_and_default_thresholds_have_the_points_that_the_json_says(found: OnRecording) -> None:
    plain = found.detections[0].plain()
    assert [point[0] for point in plain["roc"]] == list(ROC_RATES)
    assert plain["roc"][0][1] <= plain["roc"][-1][1] == 1
    assert [row["false_alarm_rate"] for row in plain["rates"]] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
    assert {"matched", "default", "realised"} < set(plain["rates"][0])
    assert {"auc", "auc_to_0.1"} < set(plain)


def test_a_recording_counts_once_in_the_means(found: OnRecording) -> None:
    again = OnRecording("other", None, found.detections)
    means = detection_table.means([found, again])
    assert [one.recording for one in means] == ["mean"] * len(found.detections)
    np.testing.assert_allclose([one.matched for one in means], [one.matched for one in found.detections])
    plain = detection_table.plain([found, again])
    assert len(plain["detections"]) == 2 * len(plain["means"])
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_the_table_has_a_row_for_each_method_and_score_in_each_mode(found: OnRecording) -> None:
    shown = detection_table.tables([found])
    assert shown.count("| lstm-predictor | combined |") == 2
    assert shown.count("| kalman | own |") == 2
    assert "| qpsk-200khz at -10 dB | qpsk-200khz at 40 dB | down-100 |" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (DetectionOptions(kinds=("hum",), sirs_db=(10.0,)), "no kind of anomaly"),
        (DetectionOptions(kinds=("down-33",), families=("auto", "oracle")), "no students of a family 'oracle'"),
    ],
)
def test_unknown_kinds_and_families_are_refused_before_the_teacher_is_fitted(
    cell: Recording, options: DetectionOptions, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        next(detect([], [cell], options, silent))
