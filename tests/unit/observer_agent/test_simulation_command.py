"""The command bandwatch-agent simulate, as a process of its own: what it prints, and what it says of bad input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.observer_agent.simulated_town import TOWN


def run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "town.toml").write_text(TOWN)
    return subprocess.run(
        [sys.executable, "-m", "observer_agent", "simulate", *options],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("BANDWATCH")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_commands_that_register_a_network_are_printed_and_nothing_is_begun(tmp_path: Path) -> None:
    result = run(tmp_path, "--network=town.toml", "--observers=4", "--registration")
    assert result.returncode == 0, result.stderr
    assert [line.split()[3] for line in result.stdout.splitlines() if "observers create" in line] == [
        "roof",
        "yard",
        "van",
        "roof-2",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["town.toml"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--network=village.toml"], "there is no file village.toml"),
        (["--network=town.toml"], "roof, observers/yard, observers/van have neither an identity nor a join token"),
        (["--network=town.toml", "--tokens=nowhere"], "the join tokens in nowhere cannot be read"),
        (["--network=town.toml", "--listen-seconds=3", "--period-seconds=2"], "lower --listen-seconds"),
        (["--network=town.toml", "--report=no/such/folder.json"], "give --report a file in a folder that exists"),
    ],
    ids=["no network", "no identities", "no tokens", "longer than a period", "nowhere to write"],
)
def test_bad_input_ends_at_once_with_a_sentence_that_says_what_to_do(
    tmp_path: Path, options: list[str], sentence: str
) -> None:
    result = run(tmp_path, *options)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
