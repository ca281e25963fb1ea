"""A teacher and its students, from frames to models that could be published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bandwatch.artifacts.golden import golden_windows
from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FrameMaker, encode_frames
from bandwatch.spectrogram.samples import decode_samples
from bandwatch.spectrogram.windows import cut_windows
from training_worker.learning.calibration import FALSE_ALARM_RATES
from training_worker.learning.dataset import WindowSet
from training_worker.learning.export import score, tensors
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import FAMILY, LstmConfig, new_predictor
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.student import StudentOptions, build_student
from training_worker.recipes.teacher import TeacherOptions, build_teacher
from training_worker.recipes.trained import TeacherModel, TrainedModel

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]
TEACHER_OPTIONS = TeacherOptions(max_epochs=3, stride_frames=20, seed=1)
DENSE_ONLY = StudentOptions(frozen_layers=2, max_epochs=1, stride_frames=10, seed=1)


def silent(_: Progress) -> None:
    """Hear nothing."""


def as_teacher(model: TrainedModel) -> TeacherModel:
    return TeacherModel(model.family, model.graph, model.tensors)


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def teacher(make_frames: MakeFrames, tmp_path_factory: pytest.TempPathFactory, told: list[Progress]) -> TrainedModel:
    segments = [make_frames(1200, 1), make_frames(1200, 2)]
    return build_teacher(TEACHER_OPTIONS, segments, tmp_path_factory.mktemp("teacher"), told.append)


@pytest.fixture(scope="module")
def student(make_frames: MakeFrames, teacher: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("student")
    return build_student(DENSE_ONLY, [make_frames(1953, 3)], as_teacher(teacher), folder, silent)


def test_every_teacher_of_one_size_has_the_same_graph_to_the_byte(teacher: TrainedModel, graph: bytes) -> None:
    assert teacher.graph == graph


def test_a_teacher_has_no_parent_and_no_frozen_layer(teacher: TrainedModel) -> None:
    assert teacher.parent_error is None
    assert teacher.frozen_layers == 0


def test_models_carry_the_errors_of_the_golden_windows(teacher: TrainedModel, student: TrainedModel) -> None:
    for model in (teacher, student):
        error_db, _ = score(model.graph, model.tensors, golden_windows(4))
        assert model.golden_errors_db == tuple(float(error) for error in error_db)


def test_models_are_calibrated_for_every_rate_on_windows_that_were_not_fitted(
    teacher: TrainedModel, student: TrainedModel
) -> None:
    for model in (teacher, student):
        assert tuple(threshold.false_alarm_rate for threshold in model.thresholds) == FALSE_ALARM_RATES
    assert teacher.error.windows < len(cut_windows(np.zeros((2400, 128), dtype=np.uint8), 20)) / 4


def test_a_dense_only_student_shares_all_but_the_dense_layer_with_its_teacher(
    teacher: TrainedModel, student: TrainedModel
) -> None:
    assert student.graph is teacher.graph
    for name, array in teacher.tensors.items():
        assert (student.tensors[name].tobytes() == array.tobytes()) == name.startswith("lstm."), name


def test_a_student_beats_the_unadapted_teacher_on_the_same_held_out_windows(student: TrainedModel) -> None:
    assert student.parent_error is not None
    assert student.parent_error.windows == student.error.windows
    assert student.error.mean_db < student.parent_error.mean_db


def test_a_students_error_on_later_data_is_what_its_calibration_promised(
    make_frames: MakeFrames, student: TrainedModel
) -> None:
    later = cut_windows(make_frames(3906, 3)[1953:], 10)
    error_db, _ = score(student.graph, student.tensors, later)
    assert error_db.mean() == pytest.approx(student.error.mean_db, rel=0.1)


@pytest.mark.parametrize(("frozen_layers", "shared"), [(1, {"_l0"}), (0, set[str]())])
def test_a_student_with_fewer_frozen_layers_goes_on_by_epochs_from_the_exact_solution(
    make_frames: MakeFrames, teacher: TrainedModel, tmp_path: Path, frozen_layers: int, shared: set[str]
) -> None:
    told: list[Progress] = []
    options = StudentOptions(frozen_layers, max_epochs=2, stride_frames=10, seed=1)
    refitted = build_student(options, [make_frames(1953, 3)], as_teacher(teacher), tmp_path, told.append)
    for name, array in teacher.tensors.items():
        assert refitted.tensors[name].tobytes() == array.tobytes() or name[-3:] not in shared
    stages = [progress.stage for progress in told]
    assert stages[0] == "solving the dense layer"
    assert {"epoch 1 of at most 2", "epoch 2 of at most 2"} <= set(stages)
    assert refitted.frozen_layers == frozen_layers
    assert refitted.parent_error is not None
    assert refitted.error.mean_db < 0.8 * refitted.parent_error.mean_db


def test_a_run_tells_where_it_is_and_never_goes_back(teacher: TrainedModel, told: list[Progress]) -> None:
    assert teacher.family == "lstm-predictor"
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert [progress.stage for progress in told][:2] == ["epoch 1 of at most 3", "epoch 2 of at most 3"]
    assert all(progress.validation_error_db is not None for progress in told[1:])


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


def test_too_little_data_is_refused_with_what_is_needed(
    make_frames: MakeFrames, teacher: TrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(FailedPreconditionError, match=r"needs 0\.17 s of frames"):
        build_student(DENSE_ONLY, [make_frames(300, 3)], as_teacher(teacher), tmp_path, silent)
    with pytest.raises(FailedPreconditionError, match="collect more data"):
        build_teacher(TEACHER_OPTIONS, [], tmp_path, silent)


def test_more_frozen_layers_than_the_teacher_has_are_refused(
    make_frames: MakeFrames, teacher: TrainedModel, tmp_path: Path
) -> None:
    options = StudentOptions(frozen_layers=3, max_epochs=1, stride_frames=10, seed=1)
    with pytest.raises(InvalidArgumentError, match="choose 0 to 2"):
        build_student(options, [make_frames(1953, 3)], as_teacher(teacher), tmp_path, silent)


def test_a_teacher_with_damaged_tensors_is_refused(
    make_frames: MakeFrames, teacher: TrainedModel, tmp_path: Path
) -> None:
    damaged = TeacherModel(
        teacher.family, teacher.graph, teacher.tensors | {"dense.bias": np.zeros(1, dtype=np.float32)}
    )
    with pytest.raises(CorruptError):
        build_student(DENSE_ONLY, [make_frames(1953, 3)], damaged, tmp_path, silent)


def frames_of(recording: Path, center_hz: float, tuned_hz: float) -> Codes:
    iq = decode_samples(recording.read_bytes(), "cu8")
    return encode_frames(FrameMaker(Band(center_hz, 1.92e6), 1.92e6, tuned_hz).push(iq), -120.0)


@pytest.mark.recordings
def test_half_a_second_of_a_real_cell_adapts_a_teacher_that_never_heard_it(
    recordings_dir: Path, tmp_path: Path, graph: bytes
) -> None:
    tuned_mhz = (2644.9, 2645.0, 2645.1)
    heard = [frames_of(recordings_dir / f"cell-2645a-{mhz}.sigmf-data", 2645e6, mhz * 1e6) for mhz in tuned_mhz]
    options = FitOptions(max_epochs=4, seed=1)
    windows = WindowSet.cut(heard, stride_frames=20, seed=1)
    predictor = fit(new_predictor(LstmConfig(), 1), windows, 0, options, tmp_path / "teacher", lambda *_: None)
    teacher = TeacherModel(FAMILY, graph, tensors(predictor))
    for name, center_hz in (("2645b-2645.0", 2645e6), ("1890-1890.0", 1890e6)):
        codes = frames_of(recordings_dir / f"cell-{name}.sigmf-data", center_hz, center_hz)
        student = build_student(DENSE_ONLY, [codes[:1953]], teacher, tmp_path, silent)
        later = cut_windows(codes[1953:], 20)
        adapted_db, _ = score(student.graph, student.tensors, later)
        unadapted_db, _ = score(teacher.graph, teacher.tensors, later)
        assert adapted_db.mean() < 0.85 * unadapted_db.mean()
