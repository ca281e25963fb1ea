"""A Debian with systemd in a container."""

from pathlib import Path

from bandwatch.errors import FailedPreconditionError
from infra.docker.build import BUILD_FOLDER
from infra.docker.commands import run
from infra.docker.debian import make_debian_image
from tests.docker.stacks import Stack
from tests.integration.platforms import until

_SYSTEMD_OPTIONS = (
    *("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined", "--cgroupns=host"),
    *("--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs=/run", "--tmpfs=/tmp"),
)
"""What systemd needs to run in a container."""


class Machine:
    """A Debian with systemd in a container, on the network of a stack."""

    def __init__(self, stack: Stack) -> None:
        options = (*_SYSTEMD_OPTIONS, f"--network={stack.project}_outside", f"--label={stack.project}")
        self.id = run("docker", "run", "--detach", *options, make_systemd_image(), "/sbin/init").strip()
        until(self._is_up, "systemd running")

    def run(self, *command: str) -> str:
        """Run a command there."""
        return run("docker", "exec", self.id, *command)

    def copy(self, path: Path, place: str) -> None:
        """Copy a file or folder there."""
        run("docker", "cp", str(path), f"{self.id}:{place}")

    def _is_up(self) -> bool:
        try:
            return self.run("systemctl", "is-system-running") == "running\n"
        except FailedPreconditionError:
            return False

    def close(self) -> None:
        """End it."""
        run("docker", "rm", "--force", self.id)


def make_systemd_image() -> str:
    """Make the image of such a machine, unless it is there, and return its name."""
    return make_debian_image("bandwatch-debian-systemd", ("systemd", "systemd-sysv", "python3"), BUILD_FOLDER)
