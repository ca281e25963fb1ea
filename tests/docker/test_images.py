"""What an image promises before anything runs in it."""

from collections.abc import Mapping

import pytest

from infra.docker.build import Image, Program
from infra.docker.commands import run, succeeds
from tests.docker.agents import CONFINED

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
AGENT_LIMIT_MB = 400


@pytest.mark.parametrize("program", Program)
def test_an_image_runs_its_program_as_a_user_without_rights_under_a_root_that_cannot_be_written(
    images: Mapping[str, Image], program: Program
) -> None:
    image = images[program].name
    confined = ("docker", "run", "--rm", "--network=none", *CONFINED)
    assert "Usage" in run(*confined, image, "--help")
    assert run(*confined, "--entrypoint=id", image, "-u") == "10001\n"
    assert not succeeds(*confined, "--entrypoint=touch", image, "/opt/written")
    assert succeeds(*confined, "--entrypoint=touch", image, "/var/lib/bandwatch/written")


@pytest.mark.parametrize("program", Program)
def test_no_image_brings_what_builds_programs(images: Mapping[str, Image], program: Program) -> None:
    confined = ("docker", "run", "--rm", "--network=none", *CONFINED, "--entrypoint=sh", images[program].name, "-c")
    assert run(*confined, "command -v gcc make pip pip3; python3 -m pip 2>&1 || true").endswith("No module named pip\n")


def test_the_agents_image_is_smaller_than_its_limit(images: Mapping[str, Image]) -> None:
    assert images[Program.AGENT].megabytes < AGENT_LIMIT_MB
