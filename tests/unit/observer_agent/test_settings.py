"""Settings from options and the environment."""

from pathlib import Path

import pytest

from bandwatch.errors import InvalidArgumentError
from observer_agent.settings import AgentSettings


def required(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "cell.json").touch()
    return {"data_dir": tmp_path, "simulate": tmp_path / "cell.json"}


def test_the_identity_is_in_the_agents_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert AgentSettings.from_options(required(tmp_path)).identity_folder == tmp_path / "identity"
    elsewhere = AgentSettings.from_options({**required(tmp_path), "identity_dir": tmp_path / "elsewhere"})
    assert elsewhere.identity_folder == tmp_path / "elsewhere"


def test_the_environment_gives_what_the_options_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDWATCH_AGENT_STRIDE_FRAMES", "5")
    monkeypatch.setenv("BANDWATCH_AGENT_PACE", "fast")
    settings = AgentSettings.from_options({**required(tmp_path), "pace": None, "false_alarm_rate": 0.05})
    assert (settings.stride_frames, settings.pace, settings.false_alarm_rate) == (5, "fast", 0.05)


def test_options_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDWATCH_AGENT_STRIDE_FRAMES", "5")
    assert AgentSettings.from_options({**required(tmp_path), "stride_frames": 25}).stride_frames == 25


def test_windows_are_judged_by_the_models_own_score_unless_another_is_wanted(tmp_path: Path) -> None:
    settings = AgentSettings.from_options(required(tmp_path))
    assert (settings.score, settings.threshold_method) == ("default", "bound")
    wanted = AgentSettings.from_options({**required(tmp_path), "score": "standing", "threshold_method": "gaussian"})
    assert (wanted.score, wanted.threshold_method) == ("standing", "gaussian")
    with pytest.raises(InvalidArgumentError, match=r"BANDWATCH_AGENT_SCORE.*'combined'"):
        AgentSettings.from_options({**required(tmp_path), "score": "loudness"})


def test_all_faults_are_told_together_with_the_names_to_set(tmp_path: Path) -> None:
    options = {**required(tmp_path), "coordinator": "nowhere", "stride_frames": 126, "recording": tmp_path / "none"}
    del options["data_dir"]
    with pytest.raises(InvalidArgumentError) as caught:
        AgentSettings.from_options(options)
    for name in ("COORDINATOR", "STRIDE_FRAMES", "RECORDING", "DATA_DIR"):
        assert f"BANDWATCH_AGENT_{name}" in caught.value.message


@pytest.mark.parametrize("sources", [{"simulate": None}, {"recording": "cell.json"}, {"drive": "cell.json"}])
def test_exactly_one_source_is_needed(tmp_path: Path, sources: dict[str, str | None]) -> None:
    changes = {name: tmp_path / value if value else None for name, value in sources.items()}
    with pytest.raises(InvalidArgumentError, match="exactly one source"):
        AgentSettings.from_options({**required(tmp_path), **changes})


def test_at_most_one_source_of_positions_is_taken(tmp_path: Path) -> None:
    options = {**required(tmp_path), "gpsd": "127.0.0.1:2947"}
    assert AgentSettings.from_options(options).gpsd == "127.0.0.1:2947"
    with pytest.raises(InvalidArgumentError, match="at most one source of positions"):
        AgentSettings.from_options({**options, "serving_cell": tmp_path / "cell"})
