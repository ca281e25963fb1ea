"""Ways to a student on made-up cells, and on a real one."""

from dataclasses import replace
from pathlib import Path

import pytest

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from tests.unit.training_worker.sigmf_cells import write_cell
from tests.unit.training_worker.small_networks import new_hybrid
from training_worker.evaluation import transfer_table
from training_worker.evaluation.fits import STUDENT_STRIDE, fit_teacher
from training_worker.evaluation.judging import errors_on
from training_worker.evaluation.recordings import Recording, read_recording, read_recordings, split
from training_worker.evaluation.transfer import JUDGED_STRIDE, METHODS, Transfer, TransferOptions, compare, compare_on
from training_worker.learning import networks
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import HybridPredictor, LstmConfig
from training_worker.recipes.families import solved_families

QUICK = TransferOptions(
    local_s=0.4, teacher_epochs=1, self_epochs=1, sgd_epochs=1, families=(networks.LSTM, networks.HYBRID)
)


def silent(_: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    folder = tmp_path_factory.mktemp("cells")
    return [read_recording(write_cell(folder, f"cell-{seed}", seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def teacher() -> HybridPredictor:
    return new_hybrid(LstmConfig(2, 16), combinations=16)


@pytest.fixture(scope="module")
def found(cells: list[Recording], teacher: HybridPredictor) -> Transfer:
    return compare_on(cells[0], teacher, {"teacher": 1.5}, QUICK, silent)


def test_the_json_of_a_comparison_has_every_method_time_and_false_alarm_rate(found: Transfer) -> None:
    plain = found.plain()
    assert plain["recording"] == "cell-1"
    assert all(len(plain[name]) == 2 and plain[name][0] > 0 for name in METHODS)
    by_family = {f"{part} {family}" for part in ("features", "exact") for family in QUICK.families}
    assert set(plain["seconds"]) == {*METHODS, "features", "teacher", "calibration", *by_family}
    assert list(plain["families"]) == list(QUICK.families)
    assert list(plain["far"]) == ["default", "bound", "empirical", "gaussian", "fitted"]
    assert plain["far"]["default"] == plain["far"]["bound"]
    assert plain["family"] == plain["lowest_family"] == networks.HYBRID
    assert {(cost["kind"], cost["sir_db"]) for cost in plain["detection_cost"]} == {
        (kind, sir_db) for kind in ("qpsk-200khz", "ofdm-1mhz") for sir_db in (0.0, 10.0)
    }


def test_the_exact_student_is_better_than_the_unadapted_teacher_and_than_one_epoch_of_adam(found: Transfer) -> None:
    errors = {name: found.errors_db[name][0] for name in METHODS}
    assert errors["exact"] < 0.8 * errors["cross"]
    assert errors["exact"] < errors["sgd"] < errors["cross"]


def test_the_exact_student_is_of_the_family_that_is_told_and_takes_its_seconds(found: Transfer) -> None:
    family = found.further["family"]
    assert found.errors_db["exact"] == found.errors_db[family]
    assert found.errors_db[networks.LSTM] != found.errors_db[networks.HYBRID]
    assert found.seconds["exact"] == found.seconds[f"exact {family}"]
    assert found.seconds["features"] == found.seconds[f"features {family}"]


def test_the_exact_students_are_those_that_a_recipe_solves(
    cells: list[Recording], teacher: HybridPredictor, found: Transfer
) -> None:
    windows = WindowSet.cut([split(cells[0], QUICK.local_s)[0]], STUDENT_STRIDE, QUICK.seed)
    solved = solved_families(teacher, QUICK.families, windows, lambda _: None)
    for one in solved:
        errors = errors_on(one.predictor, split(cells[0], QUICK.local_s)[1], JUDGED_STRIDE)
        assert found.errors_db[one.family][0] == pytest.approx(errors.mean(), rel=1e-6)
    assert found.further["family"] == min(solved, key=lambda one: one.rest.error_db.mean()).family


def test_a_linear_student_of_its_own_is_told_beside_exact_which_keeps_the_teachers_body(
    cells: list[Recording], teacher: HybridPredictor
) -> None:
    found = compare_on(cells[0], teacher, {}, replace(QUICK, families=(networks.LSTM, networks.LINEAR)), silent)
    assert found.further["family"] == networks.LSTM
    assert found.further["lowest_family"] == networks.LINEAR
    assert found.errors_db[networks.LINEAR][0] < found.errors_db["exact"][0] == found.errors_db[networks.LSTM][0]
    assert "linear of its own" in found.seconds


def test_without_another_family_adam_fits_the_dense_layer_of_the_linear_students_combinations(
    cells: list[Recording], teacher: HybridPredictor
) -> None:
    options = replace(QUICK, sgd_epochs=30, families=(networks.LINEAR,))
    found = compare_on(cells[0], teacher, {}, options, silent)
    assert found.further["family"] == found.further["lowest_family"] == networks.LINEAR
    assert found.errors_db["sgd"][0] == pytest.approx(found.errors_db["exact"][0], rel=0.1)
    assert found.seconds["exact"] == found.seconds["linear of its own"]


def test_with_fewer_frozen_layers_adam_goes_on_from_the_exact_solution_and_the_json_says_so(
    cells: list[Recording], teacher: HybridPredictor
) -> None:
    options = TransferOptions(local_s=0.4, frozen_layers=1, self_epochs=1, sgd_epochs=1)
    plain = compare_on(cells[0], teacher, {}, options, silent).plain()
    assert plain["frozen_layers"] == 1
    assert "Adam" in plain["exact_is"]
    assert "adam_after_exact" in plain["seconds"]
    assert plain["family"] == plain["lowest_family"] == networks.HYBRID
    assert list(plain["families"]) == [networks.HYBRID]


def test_the_table_has_a_row_for_each_recording_in_each_part(found: Transfer) -> None:
    shown = transfer_table.tables([found, found])
    assert shown.count("| cell-1 |") == 8
    assert f"| {found.errors_db['exact'][0]:.3f} (" in shown
    families = " | ".join(f"{found.errors_db[name][0]:.3f}" for name in QUICK.families)
    assert f"| recording | {' | '.join(QUICK.families)} | published |" in shown
    assert f"| cell-1 | {families} | hybrid |" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TransferOptions(frozen_layers=3), "choose 0 to 2"),
        (TransferOptions(families=("autoencoder",)), "no students of a family 'autoencoder'"),
    ],
)
def test_what_no_student_can_be_is_refused_before_the_teacher_is_fitted(
    cells: list[Recording], options: TransferOptions, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        next(compare(cells[:1], cells[1:], options, silent))


@pytest.mark.parametrize("local_s", [0.15, 0.75])
def test_too_little_local_data_or_too_little_rest_is_refused(cells: list[Recording], local_s: float) -> None:
    with pytest.raises(FailedPreconditionError):
        next(compare(cells[:1], cells[1:], TransferOptions(local_s=local_s), silent))


@pytest.mark.recordings
def test_half_a_second_of_a_real_cell_makes_a_student_better_than_the_teacher_and_than_adam(
    recordings_dir: Path,
) -> None:
    heard, own = read_recordings(recordings_dir / name for name in ("cell-2585-2585.0", "cell-2605-2605.0"))
    teacher = fit_teacher([heard.codes], 2, 0, silent)
    options = TransferOptions(self_epochs=1, sgd_epochs=2, families=(networks.LSTM,))
    found = compare_on(own, teacher, {}, options, silent)
    errors = {name: found.errors_db[name][0] for name in METHODS}
    assert errors["exact"] < 0.9 * errors["cross"]
    assert errors["exact"] < errors["sgd"]
    assert found.seconds["exact"] < found.seconds["sgd"]
    assert found.false_alarms["default"] < found.false_alarms["fitted"]
