"""From a file of Keras 2 to a model of ours, by the command that a user types."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from bandwatch.artifacts.golden import golden_windows
from bandwatch.spectrogram import scoring
from tests.unit.training_worker.sigmf_cells import write_cell
from tests.unit.training_worker.test_keras import write_model
from training_worker import importing
from training_worker.__main__ import cli
from training_worker.learning.keras import KerasLstmPredictor, read_keras
from training_worker.learning.restore import load_predictor
from training_worker.recipes.trained import TrainedModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keras")
    write_model(made / "teacher.h5")
    write_cell(made, "cell", seed=1)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> TrainedModel:
    return importing.read_model(folder / "teacher.h5", [folder / "cell.sigmf-meta"], 25, lambda _: None)


def test_an_imported_model_predicts_what_the_file_says(folder: Path, model: TrainedModel) -> None:
    network = load_predictor(model.family, model.tensors)
    assert isinstance(network, KerasLstmPredictor)
    standardised, mean, deviation = scoring.standardise(golden_windows(4))
    with torch.inference_mode():
        predicted = read_keras(folder / "teacher.h5")(torch.from_numpy(standardised[:, :100])).numpy()
        again = network(torch.from_numpy(standardised[:, :100]))
    torch.testing.assert_close(torch.from_numpy(predicted), again, rtol=1e-5, atol=1e-6)
    codes = predicted * deviation[:, None, None] + mean[:, None, None]
    np.testing.assert_allclose(model.golden_errors_db, scoring.error_db(golden_windows(4)[:, 100:], codes), atol=1e-3)


def test_an_imported_model_has_no_parent_and_is_calibrated_for_every_score(model: TrainedModel) -> None:
    assert model.parent is None
    assert [table.score for table in model.scores] == ["error", "whitened", "band", "standing", "combined"]


def test_the_command_writes_one_onnx_file_with_equal_output(folder: Path, model: TrainedModel) -> None:
    arguments = [str(folder / "teacher.h5"), "--recording", str(folder / "cell.sigmf-meta"), "--stride-frames", "25"]
    result = CliRunner().invoke(cli, ["import-keras", *arguments, "--onnx", str(folder / "teacher.onnx")])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.strip().splitlines()[-1])
    assert said["family"] == "keras-lstm"
    assert said["error"]["mean_db"] == pytest.approx(model.error.mean_db)
    session = onnxruntime.InferenceSession(folder / "teacher.onnx")
    error_db, *_ = session.run(["error_db"], {"codes": golden_windows(4)})
    np.testing.assert_allclose(error_db, model.golden_errors_db, atol=1e-5)
