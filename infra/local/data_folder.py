"""The folder that holds everything of a local stack."""

from pathlib import Path

from bandwatch.artifacts.keys import make_keys


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
        make_keys(self.keys)
