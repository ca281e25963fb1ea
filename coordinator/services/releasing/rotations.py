"""Rotations of the keys that sign releases. Agents follow by themselves, from the root that they pinned."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bandwatch.artifacts.blobs import sync_folder
from bandwatch.artifacts.release_roots import ReleaseRoot, with_new_online_keys, with_new_root_key
from bandwatch.artifacts.signing import OnlineKeyFiles, load_key, new_key
from bandwatch.identity.private_files import write_private
from coordinator.registry.callers import current_caller, host_caller
from coordinator.registry.session import Registry
from coordinator.services.releasing import release_metadata
from coordinator.services.releasing.publisher import Publisher

NEXT: Final = "next-"
"""What a key file is called until the root that names its key is in force."""


async def rotate_signing_keys(registry: Registry, publisher: Publisher, root_key_file: Path) -> ReleaseRoot:
    """Make new online keys, and have everything signed by them; return the root that names them.

    The old ones are not needed. Where this is broken off, doing it again makes it whole.

    Raises:
        NotFoundError: There is no root key.
        FailedPreconditionError: It is not the one that made the newest root.
    """
    current_caller.set(host_caller("rotate-signing-key"))
    root_key = load_key(root_key_file)
    after = replace(publisher, keys=OnlineKeyFiles(_next(publisher.keys.naming), _next(publisher.keys.dating)))
    for path in (after.keys.naming, after.keys.dating):
        write_private(path, new_key().private_bytes)
    async with registry.transaction() as session:
        await release_metadata.lock(session)
        before = await release_metadata.current_root(session)
        root = with_new_online_keys(before, root_key, after.keys.load(), datetime.now(UTC))
        await after.rotate(session, root)
    _put_in_place(publisher.keys.naming)
    _put_in_place(publisher.keys.dating)
    write_private(publisher.root_file, root.content)
    return root


async def rotate_root_key(registry: Registry, publisher: Publisher, root_key_file: Path) -> ReleaseRoot:
    """Make a new root key in place of the old one, and a root that both signed; return that.

    Where this is broken off, the new key is the file "next-root.key" beside the old one, if the new root names it.

    Raises:
        NotFoundError: There is no root key.
        FailedPreconditionError: It is not the one that made the newest root.
    """
    current_caller.set(host_caller("rotate-root-key"))
    old, new = load_key(root_key_file), new_key()
    async with registry.transaction() as session:
        await release_metadata.lock(session)
        before = await release_metadata.current_root(session)
        root = with_new_root_key(before, old, new, datetime.now(UTC))
        write_private(_next(root_key_file), new.private_bytes)
        release_metadata.store_root(session, root)
    _put_in_place(root_key_file)
    write_private(publisher.root_file, root.content)
    return root


def _next(path: Path) -> Path:
    return path.with_name(NEXT + path.name)


def _put_in_place(path: Path) -> None:
    _next(path).replace(path)
    sync_folder(path.parent)
