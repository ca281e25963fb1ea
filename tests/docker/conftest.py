"""Images made of this very tree, and the platform in containers of them; skipped where no Docker engine answers."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from infra.docker.build import (
    BUILD_FOLDER,
    Image,
    Program,
    build_program,
    build_services,
    make_python_base,
    make_services_base,
)
from infra.docker.commands import succeeds
from infra.docker.wheels import make_needed_wheels
from tests.docker.stacks import Stack, register_observers, running_stack
from tests.docker.systemd_machines import make_systemd_image

TAG = "under-test"


@pytest.fixture(scope="session")
def images() -> Mapping[str, Image]:
    """Give the image of each program and that of the services, by name."""
    if not succeeds("docker", "info"):
        pytest.skip("no Docker engine answers; `make test-docker` starts one")
    with ThreadPoolExecutor() as pool:
        parts: list[Future[object]] = [
            pool.submit(make) for make in (make_services_base, make_python_base, make_systemd_image)
        ]
        parts += [pool.submit(make_needed_wheels, program, BUILD_FOLDER / program) for program in Program]
        for part in parts:
            part.result()
        programs = pool.map(lambda program: build_program(program, TAG), Program)
        built = {str(program): image for program, image in zip(Program, programs, strict=True)}
    return {**built, "services": build_services(TAG)}


@pytest.fixture(scope="session")
def stack(images: Mapping[str, Image]) -> Iterator[Stack]:
    """Give a stack on which the agents of six observers are enrolled and listen."""
    names = {str(program): images[program].name for program in Program}
    names |= dict.fromkeys(("postgres", "redis", "haproxy"), images["services"].name)
    with TemporaryDirectory(prefix="bandwatch-docker-") as folder, running_stack(Path(folder), names) as running:
        with running.operator() as client:
            register_observers(running, client)
        yield running
