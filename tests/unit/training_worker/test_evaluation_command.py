"""The commands `bandwatch-worker evaluate ...`, from their arguments to what they print and write."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import ModelContent
from bandwatch.identity.identity_files import save_identity
from bandwatch.spectrogram.windows import cut_windows
from bandwatch.wire.content import content_to_message
from bandwatch.wire.v1 import model_pb2, training_service_pb2
from bandwatch.wire.v1.training_service_pb2_grpc import (
    TrainingServiceServicer,
    add_TrainingServiceServicer_to_server,
)
from tests.unit.observer_agent.tiny_models import expected_errors_db
from tests.unit.training_worker.sigmf_cells import write_cell
from tests.unit.training_worker.test_evaluation_released import make_manifest
from tests.unit.trusted_server import member, trusted_server_credentials
from training_worker import __main__
from training_worker.evaluation.command import repeated


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("cells")
    return [str(write_cell(folder, f"cell-{seed}", seed)) for seed in (1, 2, 3)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a function that runs a command in this process: its exit status, and what it said."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bandwatch-worker", "evaluate", *arguments])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


class Models(TrainingServiceServicer):
    """Serves one model to whoever asks."""

    def __init__(self, blobs: BlobStore, content: ModelContent) -> None:
        self._blobs = blobs
        self._content = content

    def ReadModel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the contract names both
        """Return the model under any name."""
        model = model_pb2.Model(name=request.name, content=content_to_message(self._content))
        return training_service_pb2.ReadModelResponse(model=model)

    def ReadBlob(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: ARG002, N802 - the contract names both
        """Yield a blob."""
        for chunk in self._blobs.chunks(request.digest):
            yield training_service_pb2.ReadBlobResponse(chunk=chunk)


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve a tiny model, and let the settings say where."""
    blobs = BlobStore(tmp_path / "served")
    server = grpc.server(ThreadPoolExecutor(2))
    models = Models(blobs, make_manifest(blobs).content)  # type: ignore[abstract] # other calls find no implementation
    add_TrainingServiceServicer_to_server(models, server)
    port = server.add_secure_port("127.0.0.1:0", trusted_server_credentials(members_only=True))
    server.start()
    save_identity(tmp_path / "data" / "identity", member("workers/w1", f"127.0.0.1:{port}"))
    monkeypatch.setenv("BANDWATCH_WORKER_DATA_DIR", str(tmp_path / "data"))
    yield
    server.stop(None).wait()


def test_frames_prints_the_errors_of_published_models_as_json(run: Any, coordinator: None, tmp_path: Path) -> None:
    del coordinator
    codes = np.random.default_rng(1).integers(80, 120, (400, 128), dtype=np.uint8)
    codes.tofile(tmp_path / "frames.u8")
    status, out, _ = run("frames", "--stride-frames", "10", "--model", "models/a", str(tmp_path / "frames.u8"))
    expected = expected_errors_db(cut_windows(codes, 10), scale=1.0, bias=2.0)
    found = json.loads(out)
    assert status == 0
    assert found["models/a"]["windows"] == len(expected)
    assert found["models/a"]["mean_db"] == pytest.approx(expected.mean(), rel=1e-5)


def test_model_shows_realised_rates_of_a_published_model(run: Any, coordinator: None, cells: list[str]) -> None:
    del coordinator
    status, out, _ = run("model", "models/a", "--recording", *cells[:2])
    assert status == 0
    assert "models/a (tiny)." in out
    assert out.count("| cell-1 |") == out.count("| cell-2 |") == 3


def test_model_shows_a_model_in_files_and_writes_json(run: Any, tmp_path: Path, cells: list[str]) -> None:
    manifest = make_manifest(BlobStore(tmp_path / "blobs"))
    (tmp_path / "manifest.json").write_bytes(manifest.to_bytes())
    written = str(tmp_path / "out.json")
    status, out, _ = run("model", str(tmp_path / "manifest.json"), "--recording", cells[0], "--json", written)
    told = json.loads(Path(written).read_text())
    assert status == 0
    assert "models/tiny (tiny)." in out
    assert (told["model"], told["recordings"][0]["recording"]) == ("models/tiny", "cell-1")
    assert set(told["recordings"][0]["scores"]) == {"error", "whitened", "combined"}


def test_transfer_prints_a_table_and_writes_json_and_says_where_it_is(
    run: Any, tmp_path: Path, cells: list[str]
) -> None:
    quick = ["--teacher-epochs=1", "--self-epochs=1", "--sgd-epochs=1", "--family=lstm-predictor", "--local-seconds=.3"]
    written = str(tmp_path / "out.json")
    status, out, err = run("transfer", "--teacher", *cells[:1], "--student", *cells[1:], *quick, "--json", written)
    told = json.loads(Path(written).read_text())
    assert status == 0, err
    assert [one["recording"] for one in told] == ["cell-2", "cell-3"]
    assert out.count("| cell-3 |") == 4
    assert "fitting the teacher: epoch 1 of at most 1" in err


def test_detection_prints_a_table_and_writes_json(run: Any, tmp_path: Path, cells: list[str]) -> None:
    quick = ["--teacher-epochs=1", "--family=lstm-predictor", "--local-seconds=.4"]
    what = ["--anomaly", "qpsk-200khz", "--sir", "0", "-10"]
    written = str(tmp_path / "out.json")
    status, out, err = run(
        "detection", "--teacher", cells[0], "--recording", cells[1], *what, *quick, "--json", written
    )
    told = json.loads(Path(written).read_text())
    assert status == 0, err
    assert {(one["kind"], one["sir_db"]) for one in told["means"]} == {("qpsk-200khz", 0.0), ("qpsk-200khz", -10.0)}
    assert "| one-class-svm | own |" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["transfer", "--teacher", "/none/a", "--student", "/none/b"], "/none/a.sigmf-meta"),
        (["transfer", "--teacher", "{0}", "--student", "{0}"], "cannot teach and be judged"),
        (["transfer", "--teacher", "{0}", "--student", "{1}", "--frozen-layers=3"], "choose 0 to 2"),
        (["transfer", "--teacher", "{0}", "--student", "{1}", "--json", "/none/x.json"], "no folder /none"),
        (["detection", "--teacher", "{0}", "--recording", "{1}", "--anomaly", "hum", "--sir", "3"], "'hum'"),
        (["model", "none.json", "--recording", "{0}"], "there is no file none.json"),
        (["model", "models/a", "--recording", "{0}", "--blobs", "."], "without --blobs"),
        (["frames", "/none/frames.u8", "--model", "models/a"], "/none/frames.u8"),
    ],
)
def test_bad_input_ends_with_status_1_and_a_sentence(
    run: Any, cells: list[str], arguments: list[str], words: str
) -> None:
    status, out, err = run(*(argument.format(*cells) for argument in arguments))
    assert (status, out) == (1, "")
    assert err.startswith("bandwatch-worker: ")
    assert words in err


@pytest.mark.parametrize("command", ["frames", "model", "transfer", "detection"])
def test_help_gives_an_example(run: Any, command: str) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"Example: bandwatch-worker evaluate {command}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--a", "1", "2", "--b", "3"], ["--a", "1", "--a", "2", "--b", "3"]),
        (["--a=1", "2"], ["--a=1", "--a", "2"]),
        (["--a", "1", "--a", "2", "3"], ["--a", "1", "--a", "2", "--a", "3"]),
        (["--a", "-1", "-2.5"], ["--a", "-1", "--a", "-2.5"]),
        (["x", "--b", "3", "y", "--a", "1"], ["x", "--b", "3", "y", "--a", "1"]),
    ],
)
def test_values_after_a_repeatable_option_are_that_option_again(given: list[str], meant: list[str]) -> None:
    assert repeated(given, {"--a"}) == meant
