"""Students of every family, and how their teacher and family are chosen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from bandwatch.artifacts.golden import golden_windows
from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FrameMaker, encode_frames
from bandwatch.spectrogram.samples import decode_samples
from bandwatch.spectrogram.windows import cut_windows
from tests.unit.training_worker.small_networks import new_hybrid, new_linear
from training_worker.learning import networks
from training_worker.learning.dataset import WindowSet
from training_worker.learning.export import Session, export_graph, tensors
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, Predictor, new_predictor
from training_worker.learning.restore import load_predictor
from training_worker.learning.scores import Scorer, no_statistics
from training_worker.recipes.choice import first_seconds
from training_worker.recipes.families import possible_families, solved_families
from training_worker.recipes.progress import Progress
from training_worker.recipes.student import StudentOptions, build_student
from training_worker.recipes.trained import TeacherModel, TrainedModel

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]
TrainTeacher = Callable[[str], TrainedModel]
OPTIONS = StudentOptions(frozen_layers=2, max_epochs=2, stride_frames=10, seed=1)
OWN_LSTM = replace(OPTIONS, families=(networks.LSTM,))
FREE = replace(OPTIONS, frozen_layers=0, max_epochs=4, stride_frames=5)
LOCAL_CELL = 3


class KilledError(Exception):
    """Stands for the end of the process."""


def silent(_: Progress) -> None:
    """Hear nothing."""


def as_teacher(model: TrainedModel) -> TeacherModel:
    return TeacherModel(model.family, model.graph, model.tensors)


def bits(model: TrainedModel) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.tensors.items()}


def beats_parent(model: TrainedModel) -> bool:
    return model.parent_error is None or model.error.mean_db < model.parent_error.mean_db


@pytest.fixture(scope="module")
def local(make_frames: MakeFrames) -> list[Codes]:
    """Give half a second of a cell that no teacher heard."""
    return [make_frames(1953, LOCAL_CELL)]


@pytest.fixture(scope="module")
def lstm_teacher(trained_teacher: TrainTeacher) -> TeacherModel:
    return as_teacher(trained_teacher(networks.LSTM))


@pytest.fixture(scope="module")
def student(local: list[Codes], lstm_teacher: TeacherModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give a dense-only student of the LSTM teacher."""
    return build_student(OWN_LSTM, local, {"far": lstm_teacher}, tmp_path_factory.mktemp("student"), silent)


@pytest.fixture(scope="module")
def at_home(student: TrainedModel) -> TeacherModel:
    """Give a teacher that has heard the local cell."""
    return as_teacher(student)


@pytest.fixture(scope="module")
def forgetful(lstm_teacher: TeacherModel) -> TeacherModel:
    """Give a teacher that remembers hardly more than the last frame: no dense layer can tell the phase from that."""
    weights = {name: array.copy() for name, array in lstm_teacher.tensors.items()}
    for layer in range(2):
        weights[f"lstm.weight_hh_l{layer}"][:] = 0
        weights[f"lstm.bias_ih_l{layer}"][64:128] = -2  # torch keeps the forget gate second
    return replace(lstm_teacher, tensors=weights)


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def of_any_family(
    local: list[Codes], lstm_teacher: TeacherModel, told: list[Progress], tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    """Give the student of the LSTM teacher whose family was left open."""
    return build_student(OPTIONS, local, {"far": lstm_teacher}, tmp_path_factory.mktemp("open"), told.append)


def test_a_dense_only_student_shares_all_but_the_dense_layer_and_the_statistics_with_its_teacher(
    lstm_teacher: TeacherModel, student: TrainedModel
) -> None:
    assert student.graph is lstm_teacher.graph
    assert (student.family, student.parent, student.frozen_layers) == (networks.LSTM, "far", 2)
    for name, array in lstm_teacher.tensors.items():
        assert (student.tensors[name].tobytes() == array.tobytes()) == name.startswith("lstm."), name


def test_a_student_is_compared_with_the_unadapted_teacher_on_the_same_windows(student: TrainedModel) -> None:
    assert student.parent_error is not None
    assert student.parent_error.windows == student.error.windows
    assert beats_parent(student)


def test_a_parents_error_is_what_the_teacher_makes_of_the_windows(
    local: list[Codes], lstm_teacher: TeacherModel, student: TrainedModel
) -> None:
    windows = WindowSet.cut(local, OPTIONS.stride_frames, OPTIONS.seed)
    held_out = np.concatenate([windows.held_out(fold) for fold in range(5)])
    expected_db = Session(lstm_teacher.graph, lstm_teacher.tensors).score(windows.gather(held_out)).error_db
    assert student.parent_error is not None
    assert student.parent_error.mean_db == pytest.approx(expected_db.mean(), abs=1e-4)


def test_a_students_error_on_later_data_is_what_its_calibration_promised(
    make_frames: MakeFrames, student: TrainedModel
) -> None:
    later = cut_windows(make_frames(3906, LOCAL_CELL)[1953:], 10)
    found = Session(student.graph, student.tensors).score(later)
    assert found.error_db.mean() == pytest.approx(student.error.mean_db, rel=0.1)
    threshold = student.scores[0].threshold_for(0.01)
    assert np.mean(found.error_db > threshold.bound) <= 0.01


def test_a_student_carries_the_errors_of_the_golden_windows(student: TrainedModel) -> None:
    found = Session(student.graph, student.tensors).score(golden_windows(4))
    assert student.golden_errors_db == tuple(found.error_db.tolist())


def test_the_same_segments_and_seed_give_the_same_student_bit_for_bit(
    local: list[Codes], lstm_teacher: TeacherModel, student: TrainedModel, tmp_path: Path
) -> None:
    again = build_student(OWN_LSTM, local, {"far": lstm_teacher}, tmp_path, silent)
    assert bits(again) == bits(student)
    assert again.scores == student.scores
    other = build_student(replace(OWN_LSTM, stride_frames=11), local, {"far": lstm_teacher}, tmp_path, silent)
    assert bits(other) != bits(student)


@pytest.mark.parametrize(("frozen_layers", "refitted_layers"), [(1, {"l1"}), (0, {"l0", "l1"})])
def test_a_student_with_fewer_frozen_layers_goes_on_by_epochs_from_the_exact_solution(
    local: list[Codes], forgetful: TeacherModel, tmp_path: Path, frozen_layers: int, refitted_layers: set[str]
) -> None:
    heard: list[Progress] = []
    options = replace(FREE, frozen_layers=frozen_layers)
    refitted = build_student(options, local, {"far": forgetful}, tmp_path, heard.append)
    changed = {name for name, array in forgetful.tensors.items() if (refitted.tensors[name] != array).any()}
    assert {name[-2:] for name in changed if name.startswith("lstm.")} == refitted_layers
    epochs = [f"epoch {epoch} of at most 4" for epoch in range(1, 5)]
    assert [progress.stage for progress in heard] == ["solving", *epochs, "calibrating", "checking", "built"]
    assert (refitted.family, refitted.frozen_layers, refitted.parent) == (networks.LSTM, frozen_layers, "far")
    assert refitted.graph is forgetful.graph
    (exact,) = refitted.candidates
    assert refitted.error.mean_db < 0.99 * exact.error.mean_db


def test_a_student_fitted_by_epochs_is_judged_by_the_windows_that_no_epoch_saw(
    local: list[Codes], forgetful: TeacherModel, tmp_path: Path
) -> None:
    refitted = build_student(FREE, local, {"far": forgetful}, tmp_path, silent)
    windows = WindowSet.cut(local, FREE.stride_frames, FREE.seed)
    unseen = windows.gather(windows.held_out(0))
    assert refitted.parent_error is not None
    for model, error in ((refitted, refitted.error), (forgetful, refitted.parent_error)):
        expected_db = Session(model.graph, model.tensors).score(unseen).error_db
        assert error.windows == len(unseen)
        assert error.mean_db == pytest.approx(expected_db.mean(), abs=1e-3)


def test_a_student_killed_between_epochs_has_the_same_bits_as_one_that_was_not(
    local: list[Codes], forgetful: TeacherModel, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    whole = build_student(FREE, local, {"far": forgetful}, tmp_path / "whole", silent)
    heard: list[Progress] = []

    def dies_in_epoch_3(progress: Progress) -> None:
        if progress.stage.startswith("epoch 3"):
            raise KilledError

    with pytest.raises(KilledError):
        build_student(FREE, local, {"far": forgetful}, tmp_path, dies_in_epoch_3)
    resumed = build_student(FREE, local, {"far": forgetful}, tmp_path, heard.append)
    assert bits(resumed) == bits(whole)
    assert resumed.scores == whole.scores
    assert [progress.stage for progress in heard[:2]] == ["solving", "epoch 3 of at most 4"]


def test_the_family_with_the_lowest_error_on_left_out_blocks_is_taken_and_all_are_recorded(
    of_any_family: TrainedModel, student: TrainedModel
) -> None:
    errors = {one.family: one.error.mean_db for one in of_any_family.candidates}
    assert set(errors) == {networks.LSTM, networks.LINEAR}
    assert of_any_family.family == min(errors, key=lambda family: errors[family])
    assert of_any_family.error.mean_db == min(errors.values())
    assert of_any_family.choice.startswith("linear of its own has the lowest error on 5 left-out folds of time:")
    for words, family in ((networks.LSTM, networks.LSTM), ("linear of its own", networks.LINEAR)):
        assert f"{words} {errors[family]:.3f} dB" in of_any_family.choice
    assert errors[networks.LSTM] == student.error.mean_db


def test_candidates_name_the_teacher_that_they_start_from_and_its_error(
    of_any_family: TrainedModel, student: TrainedModel
) -> None:
    teachers = {one.family: one.teacher for one in of_any_family.candidates}
    assert teachers == {networks.LSTM: "far", networks.LINEAR: None}
    assert {one.unadapted_error for one in of_any_family.candidates} == {of_any_family.parent_error}
    assert of_any_family.parent_error is not None
    assert student.parent_error is not None
    assert of_any_family.parent_error == student.parent_error


def test_a_linear_student_owes_its_teacher_nothing(of_any_family: TrainedModel, lstm_teacher: TeacherModel) -> None:
    assert of_any_family.family == networks.LINEAR
    assert (of_any_family.parent, of_any_family.frozen_layers) == (None, 0)
    assert of_any_family.graph != lstm_teacher.graph
    assert of_any_family.parent_error is not None


def test_a_run_tells_where_it_is_and_never_goes_back(of_any_family: TrainedModel, told: list[Progress]) -> None:
    assert of_any_family.family
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [progress.stage for progress in told] == ["solving", "checking", "built"]


def test_a_student_needs_no_teacher(local: list[Codes], of_any_family: TrainedModel, tmp_path: Path) -> None:
    alone = build_student(replace(OPTIONS, frozen_layers=0), local, {}, tmp_path, silent)
    assert (alone.family, alone.parent, alone.parent_error, alone.frozen_layers) == (networks.LINEAR, None, None, 0)
    assert beats_parent(alone)
    assert [(one.family, one.teacher, one.unadapted_error) for one in alone.candidates] == [
        (networks.LINEAR, None, None)
    ]
    assert alone.error.mean_db == pytest.approx(of_any_family.error.mean_db, rel=1e-3)


@pytest.fixture(scope="module")
def few(make_frames: MakeFrames) -> list[Codes]:
    """Give hardly any data, of another day of a cell that the linear teacher heard."""
    return [make_frames(2000, 1)[1300:]]


@pytest.fixture(scope="module")
def linear_teacher(trained_teacher: TrainTeacher) -> TeacherModel:
    return as_teacher(trained_teacher(networks.LINEAR))


@pytest.fixture(scope="module")
def of_linear(few: list[Codes], linear_teacher: TeacherModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give the student of a linear teacher, which a linear student of its own has not heard enough to beat."""
    options = replace(OPTIONS, stride_frames=14)
    return build_student(options, few, {"linear": linear_teacher}, tmp_path_factory.mktemp("linear"), silent)


def test_a_linear_student_keeps_the_combinations_of_its_linear_teacher(
    of_linear: TrainedModel, linear_teacher: TeacherModel
) -> None:
    assert (of_linear.family, of_linear.parent, of_linear.frozen_layers) == (networks.LINEAR, "linear", 1)
    assert of_linear.graph is linear_teacher.graph
    for name, array in linear_teacher.tensors.items():
        assert (of_linear.tensors[name].tobytes() == array.tobytes()) == name.startswith("lagged."), name
    assert of_linear.parent_error is not None
    assert of_linear.error.mean_db < 1.02 * of_linear.parent_error.mean_db


def test_a_linear_student_of_its_own_is_tried_beside_that_of_a_linear_teacher(of_linear: TrainedModel) -> None:
    assert [(one.family, one.teacher) for one in of_linear.candidates] == [("linear", "linear"), ("linear", None)]
    taken, own = of_linear.candidates
    assert of_linear.error == taken.error
    assert taken.error.mean_db < own.error.mean_db
    assert of_linear.choice.startswith("linear has the lowest error on 5 left-out folds of time: linear ")
    assert f"linear of its own {own.error.mean_db:.3f} dB" in of_linear.choice


def test_with_its_combinations_free_a_linear_student_of_a_linear_teacher_is_refitted_by_epochs(
    few: list[Codes], linear_teacher: TeacherModel, tmp_path: Path
) -> None:
    options = replace(FREE, stride_frames=14)
    refitted = build_student(options, few, {"linear": linear_teacher}, tmp_path, silent)
    assert (refitted.family, refitted.parent, refitted.frozen_layers) == (networks.LINEAR, "linear", 0)
    assert [one.teacher for one in refitted.candidates] == ["linear"]
    assert (tmp_path / "student.checkpoint").exists()
    assert "lowest" not in refitted.choice


def test_a_linear_student_of_its_own_has_the_usual_number_of_combinations_whatever_its_teacher_has(
    local: list[Codes], tmp_path: Path
) -> None:
    scorer = Scorer(new_linear(combinations=2), no_statistics())
    poor = TeacherModel(networks.LINEAR, export_graph(scorer), tensors(scorer))
    own = build_student(OPTIONS, local, {"poor": poor}, tmp_path, silent)
    assert (own.parent, own.frozen_layers) == (None, 0)
    assert own.tensors["lagged.weight"].shape == (64, 928)
    assert own.graph != poor.graph


def test_a_hybrid_teacher_has_an_lstm_student_if_that_is_asked_for(
    trained_teacher: TrainTeacher, local: list[Codes], tmp_path: Path
) -> None:
    hybrid, lstm = (as_teacher(trained_teacher(family)) for family in (networks.HYBRID, networks.LSTM))
    asked = build_student(OWN_LSTM, local, {"hybrid": hybrid}, tmp_path, silent)
    assert (asked.family, asked.parent, asked.frozen_layers) == (networks.LSTM, "hybrid", 2)
    assert [(one.family, one.teacher) for one in asked.candidates] == [(networks.LSTM, "hybrid")]
    assert asked.graph == lstm.graph
    for name in lstm.tensors:
        assert (asked.tensors[name].tobytes() == hybrid.tensors[name].tobytes()) == name.startswith("lstm."), name
    windows = WindowSet.cut(local, OWN_LSTM.stride_frames, OWN_LSTM.seed)
    held_out = np.concatenate([windows.held_out(fold) for fold in range(5)])
    expected_db = Session(hybrid.graph, hybrid.tensors).score(windows.gather(held_out)).error_db
    assert asked.parent_error is not None
    assert asked.parent_error.mean_db == pytest.approx(expected_db.mean(), abs=1e-4)


def test_a_hybrid_teacher_has_hybrid_and_linear_students_unless_others_are_asked_for(make_frames: MakeFrames) -> None:
    windows = WindowSet.cut([make_frames(800, LOCAL_CELL)], 20, seed=1)
    solved = solved_families(new_hybrid(LstmConfig(layers=1, units=2)), (), windows, lambda _: None)
    assert [(one.family, one.has_teacher) for one in solved] == [(networks.HYBRID, True), (networks.LINEAR, False)]


@pytest.mark.parametrize(
    ("teacher", "possible"),
    [
        (None, (networks.LINEAR,)),
        (new_linear(combinations=2), (networks.LINEAR,)),
        (new_predictor(LstmConfig(layers=1, units=2), seed=1), (networks.LSTM, networks.LINEAR)),
        (networks.new_autoencoder(4, seed=1), (networks.AUTOENCODER, networks.LINEAR)),
        (new_hybrid(LstmConfig(layers=1, units=2)), (networks.HYBRID, networks.LSTM, networks.LINEAR)),
    ],
)
def test_a_student_is_of_its_teachers_own_family_or_linear_and_of_a_hybrid_the_lstm_in_it_too(
    teacher: Predictor | None, possible: tuple[str, ...]
) -> None:
    assert possible_families(teacher) == possible


@pytest.mark.parametrize(
    ("family", "frozen_layers", "shared"),
    [(networks.AUTOENCODER, 3, ("body.",)), (networks.HYBRID, 2, ("lstm.", "lagged."))],
)
def test_a_student_keeps_the_frozen_layers_of_a_teacher_of_any_family(
    trained_teacher: TrainTeacher,
    local: list[Codes],
    tmp_path: Path,
    family: str,
    frozen_layers: int,
    shared: tuple[str, ...],
) -> None:
    teacher = as_teacher(trained_teacher(family))
    options = replace(OPTIONS, frozen_layers=frozen_layers, families=(family,))
    refitted = build_student(options, local, {"teacher": teacher}, tmp_path, silent)
    assert (refitted.family, refitted.parent, refitted.frozen_layers) == (family, "teacher", frozen_layers)
    assert refitted.graph is teacher.graph
    for name, array in teacher.tensors.items():
        assert (refitted.tensors[name].tobytes() == array.tobytes()) == name.startswith(shared), name
    assert beats_parent(refitted)


def test_an_autoencoder_with_free_layers_is_refitted_by_epochs(
    trained_teacher: TrainTeacher, local: list[Codes], tmp_path: Path
) -> None:
    teacher = as_teacher(trained_teacher(networks.AUTOENCODER))
    refitted = build_student(replace(OPTIONS, frozen_layers=1), local, {"teacher": teacher}, tmp_path, silent)
    assert (refitted.family, refitted.frozen_layers) == (networks.AUTOENCODER, 1)
    np.testing.assert_array_equal(refitted.tensors["body.0.weight"], teacher.tensors["body.0.weight"])
    assert (tmp_path / "student.checkpoint").exists()


def test_of_several_teachers_the_one_that_heard_such_a_cell_is_taken_and_the_sentence_says_by_how_much(
    make_frames: MakeFrames, lstm_teacher: TeacherModel, at_home: TeacherModel, tmp_path: Path
) -> None:
    few = [make_frames(3000, LOCAL_CELL)[2200:]]
    heard: list[Progress] = []
    teachers = {"far": lstm_teacher, "home": at_home}
    chosen = build_student(OWN_LSTM, few, teachers, tmp_path, heard.append)
    assert chosen.parent == "home"
    tried = {one.teacher: one for one in chosen.candidates[:2]}
    assert set(tried) == {"far", "home"}
    won_db = tried["far"].error.mean_db - tried["home"].error.mean_db
    assert won_db > 0
    assert f"Of 2 teachers, home is lowest after a refit on 60 s or less: {tried['home'].error.mean_db:.3f} dB, " in (
        chosen.choice
    )
    assert f"{won_db:.3f} dB before far" in chosen.choice
    assert "unadapted" not in chosen.choice
    assert heard[0].stage == "choosing a teacher"
    shares = [progress.share for progress in heard]
    assert shares == sorted(shares)


def test_teachers_that_a_wanted_family_cannot_come_from_are_not_tried(
    local: list[Codes], lstm_teacher: TeacherModel, trained_teacher: TrainTeacher, tmp_path: Path
) -> None:
    teachers = {"linear": as_teacher(trained_teacher(networks.LINEAR)), "far": lstm_teacher}
    assert build_student(OWN_LSTM, local, teachers, tmp_path, silent).parent == "far"


def test_a_student_that_learned_less_than_its_teacher_knows_does_not_beat_it(
    make_frames: MakeFrames, at_home: TeacherModel, tmp_path: Path
) -> None:
    few = [make_frames(3000, LOCAL_CELL)[2200:]]
    options = replace(OPTIONS, stride_frames=20, families=(networks.LINEAR,))
    poor = build_student(options, few, {"home": at_home}, tmp_path, silent)
    assert poor.parent_error is not None
    assert not beats_parent(poor)


def test_a_student_of_noise_claims_next_to_nothing_over_a_teacher_that_expects_noise(
    lstm_teacher: TeacherModel, tmp_path: Path
) -> None:
    """The mean of the window is the best prediction there is."""
    weights = {name: array.copy() for name, array in lstm_teacher.tensors.items()}
    weights["dense.weight"][:], weights["dense.bias"][:] = 0, 0
    noise = np.random.default_rng(5).integers(90, 110, (1953, 128), dtype=np.uint8)
    learned = build_silently(OWN_LSTM, [noise], replace(lstm_teacher, tensors=weights), tmp_path)
    assert learned.parent_error is not None
    assert learned.error.mean_db == pytest.approx(learned.parent_error.mean_db, rel=1e-3)


def build_silently(
    options: StudentOptions, segments: Sequence[Codes], teacher: TeacherModel, folder: Path
) -> TrainedModel:
    return build_student(options, segments, {"teacher": teacher}, folder, silent)


def test_too_little_data_is_refused_with_what_is_needed(
    make_frames: MakeFrames, lstm_teacher: TeacherModel, tmp_path: Path
) -> None:
    with pytest.raises(FailedPreconditionError, match=r"needs 0\.17 s of frames"):
        build_silently(OPTIONS, [make_frames(300, 3)], lstm_teacher, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (replace(OPTIONS, frozen_layers=3), "choose 0 to 2"),
        (
            replace(OPTIONS, families=(networks.AUTOENCODER,)),
            "none of teacher can have a student of the family autoenc",
        ),
        (replace(OPTIONS, families=(networks.HYBRID,)), "none of teacher can have a student of the family hybrid"),
        (replace(OPTIONS, frozen_layers=1, families=(networks.LINEAR,)), "freeze all 2 to choose among linear"),
    ],
)
def test_an_order_that_no_student_can_fill_is_refused(
    local: list[Codes], lstm_teacher: TeacherModel, tmp_path: Path, options: StudentOptions, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        build_silently(options, local, lstm_teacher, tmp_path)


def test_without_a_teacher_only_a_linear_student_can_be_ordered(local: list[Codes], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="lstm-predictor without a teacher: choose linear"):
        build_student(OWN_LSTM, local, {}, tmp_path, silent)


@pytest.mark.parametrize("damage", ["tensors", "graph", "family"])
def test_a_damaged_teacher_is_refused(
    local: list[Codes], lstm_teacher: TeacherModel, tmp_path: Path, damage: str
) -> None:
    short = lstm_teacher.tensors | {"dense.bias": np.zeros(1, dtype=np.float32)}
    damaged = {
        "tensors": replace(lstm_teacher, tensors=short),
        "graph": replace(lstm_teacher, graph=lstm_teacher.graph[:5000]),
        "family": replace(lstm_teacher, family="perceptron"),
    }[damage]
    with pytest.raises(CorruptError):
        build_silently(OWN_LSTM, local, damaged, tmp_path)


def test_a_teacher_whose_graph_computes_something_else_is_refused(
    local: list[Codes], lstm_teacher: TeacherModel, tmp_path: Path
) -> None:
    exchanged = {"lstm.bias_ih_l0": "lstm.bias_ih_l1", "lstm.bias_ih_l1": "lstm.bias_ih_l0"}
    model = onnx.ModelProto.FromString(lstm_teacher.graph)
    for node in model.graph.node:
        node.input[:] = [exchanged.get(name, name) for name in node.input]
    with pytest.raises(CorruptError, match="must not be released"):
        build_silently(OWN_LSTM, local, replace(lstm_teacher, graph=model.SerializeToString()), tmp_path)


def test_a_student_of_a_teacher_without_scores_has_a_graph_with_scores(
    local: list[Codes], trained_teacher: TrainTeacher, tmp_path: Path
) -> None:
    teacher = as_teacher(trained_teacher(networks.AUTOENCODER))
    model = onnx.ModelProto.FromString(teacher.graph)
    for output in [output for output in model.graph.output if output.name in {"whitened", "bands"}]:
        model.graph.output.remove(output)
    weights = {name: array for name, array in teacher.tensors.items() if not name.startswith("score.")}
    old = TeacherModel(teacher.family, model.SerializeToString(), weights)
    options = replace(OPTIONS, frozen_layers=3, families=(networks.AUTOENCODER,))
    assert build_silently(options, local, old, tmp_path).graph == teacher.graph


def test_a_minute_is_taken_from_the_first_segments_and_the_last_one_is_cut_short() -> None:
    segments = [np.zeros((frames, 128), np.uint8) for frames in (1000, 2000, 3000, 4000)]
    taken = first_seconds(segments, 4000 * 256e-6)
    assert [len(segment) for segment in taken] == [1000, 2000, 1000]
    assert [len(segment) for segment in first_seconds(segments, 1e3)] == [1000, 2000, 3000, 4000]


def frames_of(recording: Path, center_hz: float, tuned_hz: float) -> Codes:
    iq = decode_samples(recording.read_bytes(), "cu8")
    return encode_frames(FrameMaker(Band(center_hz, 1.92e6), 1.92e6, tuned_hz).push(iq), -120.0)


@pytest.mark.recordings
def test_half_a_second_of_a_real_cell_adapts_a_teacher_that_never_heard_it(
    recordings_dir: Path, tmp_path: Path, graph: bytes
) -> None:
    tuned_mhz = (2644.9, 2645.0, 2645.1)
    heard = [frames_of(recordings_dir / f"cell-2645a-{mhz}.sigmf-data", 2645e6, mhz * 1e6) for mhz in tuned_mhz]
    windows = WindowSet.cut(heard, stride_frames=20, seed=1)
    options = FitOptions(max_epochs=4, seed=1)
    predictor = fit(new_predictor(LstmConfig(), 1), windows, 0, options, tmp_path / "teacher", lambda *_: None)
    teacher = TeacherModel(networks.LSTM, graph, tensors(Scorer(predictor, no_statistics())))
    for name, center_hz in (("2645b-2645.0", 2645e6), ("1890-1890.0", 1890e6)):
        codes = frames_of(recordings_dir / f"cell-{name}.sigmf-data", center_hz, center_hz)
        student = build_silently(OWN_LSTM, [codes[:1953]], teacher, tmp_path)
        later = cut_windows(codes[1953:], 20)
        adapted_db = Session(student.graph, student.tensors).score(later).error_db
        unadapted_db = Session(teacher.graph, teacher.tensors).score(later).error_db
        assert adapted_db.mean() < 0.85 * unadapted_db.mean()
        assert load_predictor(student.family, student.tensors).body_layers == 2
