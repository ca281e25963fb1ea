"""docs/reliability.md holds what tests provoke: no more, no less, and nothing that did not hold."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[str]:
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    return [line for line in page.splitlines() if line.startswith("| ") and "`tests/" in line]


def test_every_fault_that_tests_provoke_is_on_the_page_and_every_test_on_the_page_exists() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "fault", "-p", "no:randomly", "tests"]
    collected = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    provoking = {line.partition("[")[0] for line in collected.splitlines() if "::" in line}
    told = {match for row in rows() for match in re.findall(r"`(tests/[^`]+)`", row)}
    assert told == provoking, "run `make reliability`"


def test_at_least_thirty_faults_are_on_the_page_and_every_promise_held() -> None:
    results = [re.search(r"held (\d+) of (\d+) \|$", row) for row in rows()]
    assert len(results) >= 30
    assert all(result and result[1] == result[2] != "0" for result in results), "see docs/reliability.md"
