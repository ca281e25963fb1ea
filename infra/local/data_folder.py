"""The folder that holds everything of a local stack."""

from pathlib import Path

from bandwatch.artifacts.keys import make_keys
from bandwatch.identity.keyring import AUTHORITIES_FILE, make_authority


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
        self.timestamp_key_file = self.keys / "timestamp.key"
        self.release_root_file = self.keys / "release-root.json"
        self.authorities_file = self.keys / AUTHORITIES_FILE
        self.operator_token_file = self.keys / "operator.token"

    def worker_folder(self, number: int) -> Path:
        """Return the folder of a worker; its identity is in it."""
        return self.worker / f"worker-{number}"

    def prepare(self) -> None:
        """Make what is missing; keys that exist stay as they are."""
        for folder in (self.keys, self.blobs, self.logs, self.worker, self.redis):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_keys(self.keys)
        make_authority(self.keys)
