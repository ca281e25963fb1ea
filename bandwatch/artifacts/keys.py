"""The keys of a new deployment, and the root of trust that names them."""

from datetime import UTC, datetime
from pathlib import Path

from bandwatch.artifacts.release_roots import first_root
from bandwatch.artifacts.signing import OnlineKeyFiles, load_key, new_key
from bandwatch.errors import FailedPreconditionError
from bandwatch.identity.private_files import write_private

ROOT_KEY = "root.key"
SIGNING_KEY = "signing.key"
TIMESTAMP_KEY = "timestamp.key"
RELEASE_ROOT = "release-root.json"


def make_keys(folder: Path) -> list[Path]:
    """Make what a folder lacks of keys for releases, then the root of trust that names them; return those.

    The root key may be taken away once the root is there.

    Raises:
        FailedPreconditionError: Observers trust a key that is lost.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    root_file, online = folder / RELEASE_ROOT, (folder / SIGNING_KEY, folder / TIMESTAMP_KEY)
    if root_file.exists():
        lost = [path.name for path in online if not path.exists()]
        if lost:
            raise FailedPreconditionError(
                f"{folder} holds {RELEASE_ROOT} but not {' and '.join(lost)}, which it names: put back what is lost, "
                "or make new keys with `bandwatch-coordinator rotate-signing-key`"
            )
        return []
    made = [path for path in (folder / ROOT_KEY, *online) if not path.exists()]
    for path in made:
        write_private(path, new_key().private_bytes)
    root = first_root(load_key(folder / ROOT_KEY), OnlineKeyFiles(*online).load(), datetime.now(UTC))
    write_private(root_file, root.content)
    return [*made, root_file]
