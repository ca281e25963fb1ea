"""Base images made of Debian packages by debootstrap, for where no image registry can be reached."""

import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bandwatch.errors import FailedPreconditionError
from infra.docker.commands import run, succeeds, timed

CODENAME: Final = "bookworm"
_EMPTIED: Final = ("var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "var/log", "tmp")
_REMOVED: Final = ("usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "var/lib/postgresql/15")
_KEPT_DOCUMENTATION: Final = "copyright"


def make_debian_image(name: str, packages: tuple[str, ...], cache: Path) -> str:
    """Make an image of Debian with some packages, unless it is there; return its name with tag.

    The archives of the file system stay in `cache`: remove them to get newer packages.

    Raises:
        FailedPreconditionError: This is not root, or debootstrap or Docker fail.
    """
    tag = hashlib.sha256(" ".join((CODENAME, *packages)).encode()).hexdigest()[:12]
    image, archive = f"{name}:{tag}", cache / f"{name}-{tag}.tar"
    if succeeds("docker", "image", "inspect", image):
        return image
    if not archive.exists():
        with timed(f"making {archive.name} of Debian packages: {', '.join(packages)}"):
            _bootstrap(packages, archive)
    with timed(f"importing {image}"):
        run("docker", "import", archive, image)
    return image


def _bootstrap(packages: tuple[str, ...], archive: Path) -> None:
    if os.geteuid() != 0:
        raise FailedPreconditionError("debootstrap needs root: run this as root, or name a base image")
    archive.parent.mkdir(parents=True, exist_ok=True)
    mirrors = _mirrors()
    with TemporaryDirectory(prefix="debootstrap-", dir=archive.parent) as folder:
        root = Path(folder, "root")
        mirror = next(uri for uri, release, _ in mirrors if release == CODENAME)
        run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", CODENAME, root, mirror)
        _upgrade(root, mirrors)
        _shrink(root)
        aside = archive.with_suffix(".aside")
        run("tar", "--create", "--file", aside, "--one-file-system", "--numeric-owner", "--directory", root, ".")
        aside.replace(archive)


def _mirrors() -> list[tuple[str, str, str]]:
    """Return address, release and component of each source of packages that this machine's apt uses for Debian.

    Raises:
        FailedPreconditionError: It uses none.
    """
    wanted = "$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = dict.fromkeys(run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines())
    rows = [line.split() for line in lines if line.startswith(CODENAME)]
    if not rows:
        raise FailedPreconditionError(f"apt knows no mirror of {CODENAME}: run apt-get update, or name a base image")
    return [(uri, release, component) for _, uri, release, component in rows]


def _upgrade(root: Path, mirrors: list[tuple[str, str, str]]) -> None:
    """Bring the packages to what the mirrors have newest, security updates too; forget the mirrors afterwards."""
    sources = root / "etc/apt/sources.list"
    sources.write_text("".join(f"deb {uri} {release} {component}\n" for uri, release, component in mirrors))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("chroot", root, "apt-get", "update", environment=environment)
    run("chroot", root, "apt-get", "--yes", "upgrade", environment=environment)
    sources.unlink()


def _shrink(root: Path) -> None:
    """Remove what no program reads; licences stay."""
    for place in _REMOVED:
        shutil.rmtree(root / place, ignore_errors=True)
    for place in _EMPTIED:
        for entry in (root / place).iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for path in sorted((root / "usr/share/doc").rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name != _KEPT_DOCUMENTATION:
            path.unlink()
