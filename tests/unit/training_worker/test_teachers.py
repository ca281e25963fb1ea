"""Teachers of every family, from frames to models that could be published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bandwatch.artifacts.golden import golden_windows
from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from bandwatch.spectrogram.windows import cut_windows
from training_worker.learning import networks
from training_worker.learning.export import Session
from training_worker.learning.restore import load_predictor
from training_worker.recipes.progress import Progress, ProgressReporter, part_of
from training_worker.recipes.teacher import TeacherOptions, build_teacher, new_network
from training_worker.recipes.trained import TrainedModel

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]
TrainTeacher = Callable[[str], TrainedModel]
FAMILIES = (networks.LSTM, networks.AUTOENCODER, networks.LINEAR, networks.HYBRID)
OPTIONS = TeacherOptions(max_epochs=2, stride_frames=20, seed=1)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_of_every_family_predicts_later_frames_better_than_the_mean_of_the_window(
    make_frames: MakeFrames, trained_teacher: TrainTeacher, family: str
) -> None:
    teacher = trained_teacher(family)
    later = cut_windows(make_frames(2400, 1)[1200:], 20)
    level = later[:, :100].mean((1, 2), keepdims=True)
    by_the_mean_db = 0.5 * np.sqrt(np.mean((later[:, 100:] - level) ** 2))
    assert Session(teacher.graph, teacher.tensors).score(later).error_db.mean() < 0.95 * by_the_mean_db
    assert teacher.family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_has_no_parent_and_its_tensors_come_back_as_a_network(
    trained_teacher: TrainTeacher, family: str
) -> None:
    teacher = trained_teacher(family)
    assert (teacher.parent, teacher.parent_error, teacher.candidates, teacher.frozen_layers) == (None, None, (), 0)
    assert load_predictor(family, teacher.tensors).family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_carries_the_errors_of_the_golden_windows(trained_teacher: TrainTeacher, family: str) -> None:
    teacher = trained_teacher(family)
    found = Session(teacher.graph, teacher.tensors).score(golden_windows(4))
    assert teacher.golden_errors_db == tuple(found.error_db.tolist())


def test_a_linear_teacher_is_judged_by_every_window_and_one_fitted_by_adam_by_a_fold(
    trained_teacher: TrainTeacher,
) -> None:
    linear, lstm, hybrid = (trained_teacher(family) for family in (networks.LINEAR, networks.LSTM, networks.HYBRID))
    assert lstm.error.windows == hybrid.error.windows < linear.error.windows / 4


def test_a_hybrid_teacher_gains_by_its_linear_skip(trained_teacher: TrainTeacher) -> None:
    assert trained_teacher(networks.HYBRID).error.mean_db < 0.9 * trained_teacher(networks.LSTM).error.mean_db


def test_a_hybrid_teacher_has_the_lstm_layers_of_the_lstm_teacher(trained_teacher: TrainTeacher) -> None:
    hybrid, lstm = trained_teacher(networks.HYBRID).tensors, trained_teacher(networks.LSTM).tensors
    for name in lstm:
        if name.startswith("lstm."):
            np.testing.assert_array_equal(hybrid[name], lstm[name])


def test_a_teacher_of_little_data_says_how_much_its_thresholds_need(trained_teacher: TrainTeacher) -> None:
    assert "held-out data cannot show false-alarm rates of" in trained_teacher(networks.LSTM).choice


@pytest.mark.parametrize(
    ("family", "layers", "body_layers"),
    [
        (networks.LSTM, 0, 2),
        (networks.LSTM, 3, 3),
        (networks.HYBRID, 0, 2),
        (networks.AUTOENCODER, 0, 3),
        (networks.AUTOENCODER, 6, 5),
        (networks.LINEAR, 0, 1),
    ],
)
def test_a_teacher_has_the_layers_that_were_ordered_or_the_usual(family: str, layers: int, body_layers: int) -> None:
    options = TeacherOptions(max_epochs=1, stride_frames=20, seed=1, family=family, layers=layers)
    assert new_network(options).body_layers == body_layers


@pytest.mark.parametrize(
    ("family", "layers", "words"),
    [
        (networks.LSTM, 9, "choose 1 to 8"),
        (networks.AUTOENCODER, 5, "4 or 6 dense layers, not 5"),
        ("transformer", 0, "no family 'transformer'"),
        (networks.KERAS_LSTM, 0, "no family 'keras-lstm'"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(family: str, layers: int, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        new_network(TeacherOptions(max_epochs=1, stride_frames=20, seed=1, family=family, layers=layers))


def test_too_little_data_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="collect more data"):
        build_teacher(OPTIONS, [], tmp_path, lambda _: None)


def test_a_teacher_killed_between_epochs_has_the_same_bits_as_one_that_was_not(
    make_frames: MakeFrames, trained_teacher: TrainTeacher, tmp_path: Path
) -> None:
    """The same seed and segments, trained a second time, with the process gone after the first epoch."""
    told: list[Progress] = []

    def dies_in_epoch_2(progress: Progress) -> None:
        if progress.stage.startswith("epoch 2"):
            raise KilledError

    segments = [make_frames(1200, 1), make_frames(1200, 2)]
    with pytest.raises(KilledError):
        build_teacher(OPTIONS, segments, tmp_path, dies_in_epoch_2)
    again = build_teacher(OPTIONS, segments, tmp_path, told.append)
    whole = trained_teacher(networks.LSTM)
    assert {name: array.tobytes() for name, array in again.tensors.items()} == {
        name: array.tobytes() for name, array in whole.tensors.items()
    }
    assert (again.graph, again.error, again.scores) == (whole.graph, whole.error, whole.scores)
    assert again.golden_errors_db == whole.golden_errors_db
    assert [progress.stage for progress in told] == ["epoch 2 of at most 2", "calibrating", "exporting", "built"]
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert told[-1].validation_error_db is not None


def test_a_stage_is_told_once_however_often_the_run_speaks() -> None:
    told: list[Progress] = []
    reporter = ProgressReporter(told.append)
    for batch in range(1000):
        reporter.tell("epoch 1", batch / 2000)
    reporter.tell("epoch 1", 0.5, 2.75)
    reporter.tell("epoch 2", 0.5)
    assert told[0] == Progress("epoch 1", 0.0, None)
    assert told[-1] == Progress("epoch 2", 0.5, 2.75)
    assert len(told) < 10


def test_equal_parts_share_the_whole_in_turn() -> None:
    shares: list[float] = []
    for number in range(4):
        for share in (0.0, 1.0):
            part_of(shares.append, number, 4)(share)
    assert shares == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1]
