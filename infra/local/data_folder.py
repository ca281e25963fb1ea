"""The folder that holds everything of a local stack, and the secrets that are made in it once."""

import os
import secrets
from pathlib import Path

from bandwatch.artifacts.signing import SigningKey


class DataFolder:
    """Where each thing of a local stack lies. Only `postgres` may be entered by another user than the owner."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.keys = self.root / "keys"
        self.blobs = self.root / "blobs"
        self.logs = self.root / "logs"
        self.worker = self.root / "worker"
        self.redis = self.root / "redis"
        self.postgres = self.root / "postgres"
        self.signing_key_file = self.keys / "signing.key"
        self.trusted_keys_file = self.keys / "trusted-keys.pem"
        self.operator_token_file = self.keys / "operator.token"
        self.worker_token_file = self.keys / "worker.token"

    def prepare(self) -> None:
        """Make what is missing; keys and tokens that exist stay as they are."""
        for folder in (self.keys, self.blobs, self.logs, self.worker, self.redis):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for token_file in (self.operator_token_file, self.worker_token_file):
            if not token_file.exists():
                write_private(token_file, secrets.token_urlsafe(32).encode())
        if not self.signing_key_file.exists():
            unfinished = self.keys / "signing.key.unfinished"
            unfinished.unlink(missing_ok=True)
            SigningKey.generate().save(unfinished)
            unfinished.rename(self.signing_key_file)
        write_private(self.trusted_keys_file, SigningKey.load(self.signing_key_file).public_pem())


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.rename(path)
