"""Models in files, as an agent keeps them: a manifest, and blobs by their digest in a folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from bandwatch.artifacts.blobs import digest_of
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import CorruptError, InvalidArgumentError, NotFoundError

_BLOBS: Final = "blobs"


class _Release(BaseModel):
    manifest: BlobReference


class _Pointers(BaseModel):
    active: _Release | None


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A manifest, and the folder of its blobs."""

    manifest: Manifest
    blobs: Path

    def read_blob(self, reference: BlobReference) -> bytes:
        """Return a part of the model.

        Raises:
            NotFoundError: The folder does not hold it.
            CorruptError: It is not what the manifest promised.
        """
        return _read_blob(self.blobs, reference)


def read_kept(path: Path, blobs: Path | None) -> KeptModel:
    """Return the model that a file names.

    Args:
        path: A manifest, or the file active.json in which an agent keeps which release is in force.
        blobs: Folder of blobs; None for the folder "blobs" beside the file, or the one that the file is a blob of.

    Raises:
        NotFoundError: A file is missing.
        InvalidArgumentError: A file cannot be read.
        CorruptError: The file is nothing of that kind, or the manifest has changed.
    """
    content = _read(path)
    folder = blobs or _folder_beside(path)
    told = _object(path, content)
    if "active" in told:
        content = _read_blob(folder, _active(path, told))
    return KeptModel(Manifest.from_bytes(content), folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from error


def _object(path: Path, content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path} is no manifest: it holds no JSON") from error
    if not isinstance(told, dict):
        raise CorruptError(f"{path} is no manifest: it holds no JSON object")
    return told


def _active(path: Path, told: dict[str, Any]) -> BlobReference:
    try:
        pointers = _Pointers.model_validate(told)
    except ValidationError as error:
        raise CorruptError(f"{path} does not say which release is in force") from error
    if pointers.active is None:
        raise NotFoundError(f"{path} says that no release is in force")
    return pointers.active.manifest


def _folder_beside(path: Path) -> Path:
    if path.parent.name == path.name[:2] and path.parent.parent.is_dir():
        return path.parent.parent
    return path.parent / _BLOBS


def _read_blob(folder: Path, reference: BlobReference) -> bytes:
    path = folder / reference.digest[:2] / reference.digest
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"there is no blob {path}: name the folder of the model's blobs with --blobs") from error
    if digest_of(content) != reference.digest:
        raise CorruptError(f"{path} is not what its name promises: it has changed on disk")
    return content
