"""Makes the images of Bandwatch's programs: wheels, a base image where none is named, then one image a program."""

import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from bandwatch.errors import BandwatchError
from infra.docker.commands import run, timed
from infra.docker.debian import make_debian_image
from infra.docker.wheels import PROJECT, make_needed_wheels, make_own_wheel

HERE: Final = Path(__file__).parent
PYTHON_PACKAGES: Final = ("python3", "ca-certificates")
SERVICE_PACKAGES: Final = ("postgresql-15", "redis-server", "haproxy")
BUILD_FOLDER: Final = PROJECT / "build/docker"
SERVICES_IMAGE: Final = "bandwatch-services"


class Program(StrEnum):
    """A program that has an image."""

    COORDINATOR = "coordinator"
    AGENT = "agent"
    WORKER = "worker"


@dataclass(frozen=True)
class Image:
    """An image and how large it is."""

    name: str
    megabytes: float


cli = typer.Typer(no_args_is_help=True, add_completion=False)
_Folder = Annotated[Path, typer.Option(help="Folder for wheels and for archives of Debian; kept between builds.")]


@cli.callback()
def describe() -> None:
    """Make the images of Bandwatch. Docker must run. No image registry is needed.

    Example: python -m infra.docker.build programs --base-image python:3.11-slim
    """


@cli.command()
def programs(
    chosen: Annotated[
        list[Program] | None, typer.Argument(help="Programs to make an image of; all when absent.", show_default=False)
    ] = None,
    base_image: Annotated[
        str, typer.Option(help="Image with Python 3.11 to build on; one made of Debian packages when absent.")
    ] = "",
    tag: Annotated[str, typer.Option(help="Tag of the images.")] = "latest",
    folder: _Folder = BUILD_FOLDER,
) -> None:
    """Make the images bandwatch-coordinator, bandwatch-agent and bandwatch-worker, and print their sizes."""
    for program in chosen or list(Program):
        _show(build_program(program, tag, folder, base_image))


@cli.command()
def services(
    tag: Annotated[str, typer.Option(help="Tag of the image.")] = "latest",
    folder: _Folder = BUILD_FOLDER,
) -> None:
    """Make bandwatch-services: PostgreSQL, Redis and HAProxy of Debian, in place of their public images."""
    _show(build_services(tag, folder))


def make_python_base(folder: Path = BUILD_FOLDER) -> str:
    """Make the base image of the programs of Debian packages, and return its name.

    Raises:
        FailedPreconditionError: This is not root, or debootstrap or Docker fail.
    """
    return make_debian_image("bandwatch-debian-python", PYTHON_PACKAGES, folder)


def make_services_base(folder: Path = BUILD_FOLDER) -> str:
    """Make the base image of the services of Debian packages, and return its name.

    Raises:
        FailedPreconditionError: This is not root, or debootstrap or Docker fail.
    """
    return make_debian_image("bandwatch-debian-services", SERVICE_PACKAGES, folder)


def build_program(program: Program, tag: str, folder: Path = BUILD_FOLDER, base_image: str = "") -> Image:
    """Make the image of one program, on a base image made of Debian packages where none is named.

    Raises:
        FailedPreconditionError: debootstrap, pip or Docker fail.
    """
    base_image = base_image or make_python_base(folder)
    context = folder / program
    make_needed_wheels(program, context)
    make_own_wheel(context)
    shutil.copytree(HERE / "health", context / "health", dirs_exist_ok=True)
    shutil.copy2(HERE / "install.sh", context)
    dockerfile = HERE / f"{program}.Dockerfile"
    return _build(f"bandwatch-{program}:{tag}", dockerfile, context, base_image)


def build_services(tag: str, folder: Path = BUILD_FOLDER) -> Image:
    """Make the image of PostgreSQL, Redis and HAProxy.

    Raises:
        FailedPreconditionError: debootstrap or Docker fail.
    """
    base = make_services_base(folder)
    return _build(f"{SERVICES_IMAGE}:{tag}", HERE / "services/Dockerfile", HERE / "services", base)


def _build(name: str, dockerfile: Path, context: Path, base_image: str) -> Image:
    with timed(f"building {name}"):
        arguments = ("--build-arg", f"BASE_IMAGE={base_image}", "--network", "none", "--tag", name)
        run("docker", "build", "--file", dockerfile, *arguments, context)
    return Image(name, int(run("docker", "image", "inspect", "--format", "{{.Size}}", name)) / 1e6)


def _show(image: Image) -> None:
    typer.echo(f"{image.name:32} {image.megabytes:7.0f} MB")


def main() -> None:
    """Entry point."""
    try:
        cli()
    except BandwatchError as error:
        typer.echo(f"build: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
