"""The agent as a service of systemd, installed by infra/systemd/install.sh on a Debian that runs in a container."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.docker.build import BUILD_FOLDER, Image, Program
from infra.docker.wheels import PROJECT
from tests.docker.stacks import Stack, register
from tests.docker.systemd_machines import Machine
from tests.integration.platforms import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
AGENT = "/opt/bandwatch-agent/bin/bandwatch-agent"
STATE = "/var/lib/bandwatch-agent"
MOST_EXPOSED = 2.0
"""On the scale of systemd-analyze security, from 0 to 10; a service that forbids itself nothing has 9.6."""


@pytest.fixture(scope="module")
def machine(stack: Stack, images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine on which the agent was installed from wheels."""
    assert images[Program.AGENT]  # its wheels are made
    wheels = tmp_path_factory.mktemp("made") / "wheels"
    wheels.mkdir()
    for wheel in (BUILD_FOLDER / Program.AGENT).rglob("*.whl"):
        shutil.copy2(wheel, wheels)
    running = Machine(stack)
    try:
        running.copy(wheels, "/opt/wheels")
        running.copy(PROJECT / "infra/systemd", "/opt/systemd")
        running.run("sh", "/opt/systemd/install.sh", "/opt/wheels")
        yield running
    finally:
        running.close()


def test_the_unit_is_sound_and_forbids_itself_what_an_agent_never_does(machine: Machine) -> None:
    assert machine.run("systemd-analyze", "verify", "bandwatch-agent.service") == ""
    told = machine.run("systemd-analyze", "security", "--no-pager", "bandwatch-agent.service")
    exposure = re.search(r"Overall exposure level for bandwatch-agent.service: ([\d.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


def test_an_enrolled_agent_runs_as_its_own_user_and_goes_on_after_it_was_killed_and_installed_again(
    machine: Machine, stack: Stack, tmp_path: Path
) -> None:
    with stack.operator() as client:
        token = register(client, "hut")
        enrolment = ("--coordinator", "coordinator:50051", "--token", token, "--data-dir", STATE)
        machine.run("runuser", "-u", "bandwatch-agent", "--", AGENT, "enroll", *enrolment)
        (tmp_path / "agent.env").write_text("BANDWATCH_AGENT_SIMULATE=/etc/bandwatch/cell.json\n")
        machine.copy(tmp_path / "agent.env", "/etc/bandwatch/agent.env")
        machine.copy(stack.cell_file, "/etc/bandwatch/cell.json")
        machine.run("systemctl", "restart", "bandwatch-agent")

        def delivered() -> int:
            return client.segment_totals(observer="observers/hut").segments

        until(lambda: delivered() > 0, "a segment of the service")
        process = machine.run("systemctl", "show", "--property=MainPID", "--value", "bandwatch-agent").strip()
        assert machine.run("stat", "--format=%U", f"/proc/{process}") == "bandwatch-agent\n"
        machine.run("systemctl", "kill", "--signal=KILL", "bandwatch-agent")
        count = delivered()
        until(lambda: delivered() > count, "a segment after the kill")
        machine.run("sh", "/opt/systemd/install.sh", "/opt/wheels")
        count = delivered()
        until(lambda: delivered() > count, "a segment of what was installed again")
    assert "SIMULATE" in machine.run("cat", "/etc/bandwatch/agent.env")
