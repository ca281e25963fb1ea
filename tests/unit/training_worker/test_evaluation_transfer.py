"""Ways to a student on made-up cells, and on a real one."""

from pathlib import Path

import pytest

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from tests.unit.training_worker.sigmf_cells import write_cell
from training_worker.evaluation import transfer_table
from training_worker.evaluation.fits import fit_teacher
from training_worker.evaluation.recordings import Recording, read_recording, read_recordings
from training_worker.evaluation.transfer import METHODS, Transfer, TransferOptions, compare, compare_on
from training_worker.learning import networks
from training_worker.learning.networks import LstmConfig, LstmPredictor, new_predictor

QUICK = TransferOptions(local_s=0.4, teacher_epochs=1, self_epochs=1, sgd_epochs=1, families=(networks.LSTM,))


def silent(_: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    folder = tmp_path_factory.mktemp("cells")
    return [read_recording(write_cell(folder, f"cell-{seed}", seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def teacher() -> LstmPredictor:
    return new_predictor(LstmConfig(2, 16), seed=1)


@pytest.fixture(scope="module")
def found(cells: list[Recording], teacher: LstmPredictor) -> Transfer:
    return compare_on(cells[0], teacher, {"teacher": 1.5}, QUICK, silent)


def test_the_json_of_a_comparison_has_every_method_time_and_false_alarm_rate(found: Transfer) -> None:
    plain = found.plain()
    assert plain["recording"] == "cell-1"
    assert all(len(plain[name]) == 2 and plain[name][0] > 0 for name in METHODS)
    assert {*METHODS, "features", "teacher", "families", "calibration"} <= set(plain["seconds"])
    assert list(plain["far"]) == ["default", "bound", "empirical", "gaussian", "fitted"]
    assert plain["far"]["default"] == plain["far"]["bound"]
    assert plain["family"] == networks.LSTM
    assert {(cost["kind"], cost["sir_db"]) for cost in plain["detection_cost"]} == {
        (kind, sir_db) for kind in ("qpsk-200khz", "ofdm-1mhz") for sir_db in (0.0, 10.0)
    }


def test_the_exact_student_is_better_than_the_unadapted_teacher_and_than_one_epoch_of_adam(found: Transfer) -> None:
    errors = {name: found.errors_db[name][0] for name in METHODS}
    assert errors["exact"] < 0.8 * errors["cross"]
    assert errors["exact"] < errors["sgd"] < errors["cross"]


def test_the_exact_student_is_the_one_that_a_recipe_solves(found: Transfer) -> None:
    assert found.errors_db[networks.LSTM] == pytest.approx(found.errors_db["exact"], rel=1e-6)


def test_with_fewer_frozen_layers_adam_goes_on_from_the_exact_solution_and_the_json_says_so(
    cells: list[Recording], teacher: LstmPredictor
) -> None:
    options = TransferOptions(local_s=0.4, frozen_layers=1, self_epochs=1, sgd_epochs=1)
    plain = compare_on(cells[0], teacher, {}, options, silent).plain()
    assert plain["frozen_layers"] == 1
    assert "Adam" in plain["exact_is"]
    assert "adam_after_exact" in plain["seconds"]
    assert "family" not in plain


def test_the_table_has_a_row_for_each_recording_in_each_part(found: Transfer) -> None:
    shown = transfer_table.tables([found, found])
    assert shown.count("| cell-1 |") == 6
    assert f"| {found.errors_db['exact'][0]:.3f} (" in shown


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
