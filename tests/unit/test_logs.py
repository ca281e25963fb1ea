"""What a program writes to standard error, seen from outside the program."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

PROGRAM = """
import logging, threading
import structlog
from bandwatch.logs import configure_logs
configure_logs("observer")
log = structlog.get_logger()
"""


def lines_of(body: str) -> list[dict[str, Any]]:
    """Run a program that logs, and return its lines on standard error, each read as JSON."""
    done = subprocess.run([sys.executable, "-c", PROGRAM + body], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_json_that_says_what_when_how_serious_and_which_program() -> None:
    before = datetime.now(UTC)
    [line] = lines_of('log.info("segment stored", bytes=7)')
    said_at = datetime.fromisoformat(line.pop("timestamp"))
    assert before - timedelta(seconds=1) <= said_at <= datetime.now(UTC)
    assert line == {"event": "segment stored", "level": "info", "program": "observer", "bytes": 7}


def test_logs_of_the_standard_library_take_the_same_form() -> None:
    [line] = lines_of('logging.getLogger("grpc").warning("port %d is taken", 80)')
    assert line.keys() == {"event", "level", "timestamp", "program"}
    assert (line["event"], line["level"], line["program"]) == ("port 80 is taken", "warning", "observer")


def test_every_thread_says_which_program_it_belongs_to() -> None:
    lines = lines_of(
        """
def speak():
    log.info("ours")
    logging.getLogger("library").warning("theirs")
thread = threading.Thread(target=speak)
thread.start()
thread.join()
"""
    )
    assert [(line["event"], line["program"]) for line in lines] == [("ours", "observer"), ("theirs", "observer")]


def test_a_failure_stays_one_line_with_its_stack_inside() -> None:
    [line] = lines_of(
        """
try:
    1 / 0
except ZeroDivisionError:
    log.exception("a call failed")
"""
    )
    assert (line["event"], line["level"]) == ("a call failed", "error")
    assert line["exception"].startswith("Traceback")
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_text_of_several_lines_and_values_that_are_no_json_stay_one_line() -> None:
    [line] = lines_of(r'log.info("two\nlines", where=__import__("pathlib").Path("/tmp"), name="\u2028é")')
    assert line["event"] == "two\nlines"
    assert "/tmp" in line["where"]  # noqa: S108 - a text, not a file
    assert line["name"] == "\u2028é"


def test_what_is_below_the_level_is_not_written() -> None:
    assert [line["event"] for line in lines_of('log.debug("detail"); log.info("news")')] == ["news"]
    quiet = 'configure_logs("observer", level=logging.ERROR); log.info("news"); log.error("trouble")'
    assert [line["event"] for line in lines_of(quiet)] == ["trouble"]


def on_a_terminal(body: str) -> str:
    """Run a program that logs to a terminal, and return what people read there."""
    terminal, program_side = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PROGRAM + body], stderr=program_side, check=True, timeout=60)
        return os.read(terminal, 65536).decode()
    finally:
        os.close(program_side)
        os.close(terminal)


def test_people_on_a_terminal_read_lines_not_json() -> None:
    said = on_a_terminal('log.info("segment stored", bytes=7)')
    assert "segment stored" in said
    assert not said.startswith("{")


def test_people_see_the_stack_of_a_failure_but_not_the_secrets_in_its_variables() -> None:
    said = on_a_terminal(
        """
def connect():
    token = "hidden" + "-secret"
    return 1 / 0
try:
    connect()
except ZeroDivisionError:
    log.exception("a call failed")
"""
    )
    assert "ZeroDivisionError: division by zero" in said
    assert "hidden-secret" not in said
