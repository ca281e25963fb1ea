"""A real repository of signed metadata, in memory: what the coordinator keeps in rows."""

from datetime import UTC, datetime, timedelta

from bandwatch.artifacts.release_metadata import Lives, MetadataEdit, SignedFile, first_files
from bandwatch.artifacts.release_roots import ReleaseRoot, first_root, with_new_online_keys, with_new_root_key
from bandwatch.artifacts.signing import OnlineKeys, new_key


class ReleaseRepository:
    """Names releases. `files` are by the name that agents call them, `newest` by role."""

    def __init__(self, *, timestamp_life: timedelta = timedelta(days=1)) -> None:
        self.lives = Lives(timestamp_life)
        self.root_key = new_key()
        self.keys = OnlineKeys(new_key(), new_key())
        self.files: dict[str, bytes] = {}
        self.newest: dict[str, bytes] = {}
        self.roots: list[ReleaseRoot] = []
        self._adopt(first_root(self.root_key, self.keys, datetime.now(UTC)))
        self.keep(first_files(self.root, self.keys, self.lives, datetime.now(UTC)))

    @property
    def root(self) -> ReleaseRoot:
        """The newest root."""
        return self.roots[-1]

    @property
    def pinned(self) -> bytes:
        """The first root, which agents are given."""
        return self.roots[0].content

    def name(self, serial: int, manifest: bytes) -> None:
        """Name a release."""
        edit = MetadataEdit(self.newest)
        edit.name(serial, manifest, {})
        self.sign(edit)

    def withdraw(self, serial: int) -> None:
        """Name a release no more."""
        edit = MetadataEdit(self.newest)
        edit.withdraw(serial)
        self.sign(edit)

    def refresh(self, now: datetime | None = None) -> None:
        """Sign again what is newest, at some time."""
        self.sign(MetadataEdit(self.newest), now)

    def rotate_signing_keys(self) -> None:
        """Let new online keys sign, and sign everything again."""
        self.keys = OnlineKeys(new_key(), new_key())
        self._adopt(with_new_online_keys(self.root, self.root_key, self.keys, datetime.now(UTC)))
        edit = MetadataEdit(self.newest)
        edit.delegate(self.keys)
        self.sign(edit)

    def rotate_root_key(self) -> None:
        """Let a new root key make roots."""
        old, self.root_key = self.root_key, new_key()
        self._adopt(with_new_root_key(self.root, old, self.root_key, datetime.now(UTC)))

    def sign(self, edit: MetadataEdit, now: datetime | None = None) -> list[SignedFile]:
        """Sign an edit, and keep its files."""
        made = edit.sign(self.root, self.keys, self.lives, now or datetime.now(UTC))
        self.keep(made)
        return made

    def keep(self, made: list[SignedFile]) -> None:
        """Serve files from now on."""
        for file in made:
            self.newest[file.role] = file.content
            name = "timestamp.json" if file.role == "timestamp" else f"{file.version}.{file.role}.json"
            self.files[name] = file.content

    def _adopt(self, root: ReleaseRoot) -> None:
        self.roots.append(root)
        self.files[f"{root.version}.root.json"] = root.content
