"""What an agent believes of releases, with metadata from an honest repository and from hostile ones."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.artifacts.signing import OnlineKeys, new_key
from bandwatch.errors import BandwatchError, InvalidArgumentError, NotFoundError, UnavailableError
from observer_agent.models.desired import AssignedRelease
from observer_agent.models.trust import (
    EndlessMetadataError,
    ForgedMetadataError,
    MixedMetadataError,
    NotReleasedError,
    OldMetadataError,
    ReleaseTrust,
    StaleMetadataError,
)
from tests.unit.observer_agent.hostile_repository import HostileRepository, bin_file, role_file
from tests.unit.observer_agent.release_repository import ReleaseRepository

MANIFEST, EVIL = b"an honest manifest", b"an evil manifest.."


def release(serial: int, manifest: bytes = MANIFEST) -> AssignedRelease:
    reference = BlobReference(digest=sha256(manifest).hexdigest(), size_bytes=len(manifest))
    return AssignedRelease(serial=serial, manifest=reference)


def serving(files: dict[str, bytes]) -> Callable[[str], bytes]:
    def fetch(file: str) -> bytes:
        if file not in files:
            raise NotFoundError(f"no {file}")
        return files[file]

    return fetch


@pytest.fixture
def repository() -> ReleaseRepository:
    """Give a repository that names release 1."""
    repository = ReleaseRepository()
    repository.name(1, MANIFEST)
    return repository


@pytest.fixture
def trust(tmp_path: Path, repository: ReleaseRepository) -> ReleaseTrust:
    """Give the trust of an agent that has seen release 1."""
    trust = ReleaseTrust(tmp_path / "trust", repository.pinned)
    trust.check(release(1), serving(repository.files))
    return trust


def test_a_named_release_is_believed_also_after_a_restart(
    tmp_path: Path, repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    repository.name(2, MANIFEST)
    trust.check(release(2), serving(repository.files))
    ReleaseTrust(tmp_path / "trust", repository.pinned).check(release(1), serving(repository.files))


def test_another_manifest_of_a_named_release_is_not_believed(
    repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    with pytest.raises(NotReleasedError):
        trust.check(release(1, EVIL), serving(repository.files))


def test_a_release_that_was_withdrawn_is_not_believed_any_more(
    repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    repository.withdraw(1)
    with pytest.raises(NotReleasedError, match="withdrawn"):
        trust.check(release(1), serving(repository.files))


def test_an_agent_follows_every_rotation_that_it_missed(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    for rotate in (repository.rotate_signing_keys, repository.rotate_root_key) * 3:
        rotate()
    repository.name(2, MANIFEST)
    trust.check(release(2), serving(repository.files))


def test_what_is_not_there_at_present_is_unavailable_and_no_refusal(trust: ReleaseTrust) -> None:
    def away(_: str) -> bytes:
        raise UnavailableError("the coordinator is away")

    with pytest.raises(UnavailableError, match="is away"):
        trust.check(release(1), away)


def test_a_file_that_the_channel_did_not_take_is_a_refusal_that_says_so(trust: ReleaseTrust) -> None:
    def too_large(_: str) -> bytes:
        raise InvalidArgumentError("received message larger than max")

    with pytest.raises(EndlessMetadataError, match="larger than max"):
        trust.check(release(1), too_large)


def test_metadata_that_nobody_signed_again_is_stale_and_the_sentence_says_what_may_be_wrong(
    repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    repository.refresh(datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(StaleMetadataError) as caught:
        trust.check(release(1), serving(repository.files))
    for part in ("signed at", "clock says", "schedule", "keeps newer metadata back"):
        assert part in caught.value.message
    repository.refresh()
    trust.check(release(1), serving(repository.files))


@pytest.mark.parametrize(("hours", "warned"), [(0, False), (30, True)])
def test_a_clock_that_is_behind_is_noticed_by_metadata_from_the_future(
    repository: ReleaseRepository, trust: ReleaseTrust, hours: int, warned: bool
) -> None:
    repository.refresh(datetime.now(UTC) + timedelta(hours=hours))
    with capture_logs() as logs:
        trust.check(release(1), serving(repository.files))
    assert any("clock is behind" in line["event"] for line in logs) is warned


def test_an_agent_never_goes_back_to_a_state_before_the_newest_that_it_saw(
    tmp_path: Path, repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    before = dict(repository.files)
    repository.name(2, MANIFEST)
    trust.check(release(2), serving(repository.files))
    again = ReleaseTrust(tmp_path / "trust", repository.pinned)
    with pytest.raises(OldMetadataError):
        again.check(release(1), serving(before))


def test_a_snapshot_of_before_is_refused_even_with_the_key_that_dates(
    repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    before = role_file(repository, "snapshot")
    repository.name(2, MANIFEST)
    trust.check(release(2), serving(repository.files))
    hostile = HostileRepository(repository)
    hostile.date_with(repository.keys, version=99, snapshot=before)
    with pytest.raises(OldMetadataError):
        trust.check(release(1), serving(hostile.files))


def test_files_of_different_states_do_not_go_together(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    before = bin_file(repository, 1)
    repository.name(1, EVIL)
    hostile = HostileRepository(repository)
    hostile.replace(before.role, before.content)
    with pytest.raises(MixedMetadataError):
        trust.check(release(1), serving(hostile.files))


@pytest.mark.parametrize(
    ("role", "size"), [("timestamp", 5 << 10), ("snapshot", 300 << 10), ("targets", 5 << 20), ("root", 70 << 10)]
)
def test_a_file_without_end_is_cut_off(tmp_path: Path, repository: ReleaseRepository, role: str, size: int) -> None:
    hostile = HostileRepository(repository)
    endless = b" " * size
    if role == "root":
        hostile.files["2.root.json"] = endless
    else:
        hostile.replace(role, endless)
    with pytest.raises(EndlessMetadataError):
        ReleaseTrust(tmp_path / "new", repository.pinned).check(release(1), serving(hostile.files))


def test_the_key_that_dates_alone_names_nothing(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    hostile = HostileRepository(repository)
    hostile.name_with(OnlineKeys(repository.keys.dating, repository.keys.dating), 2, EVIL)
    with pytest.raises(ForgedMetadataError):
        trust.check(release(2, EVIL), serving(hostile.files))


def test_the_key_that_names_alone_brings_nothing_into_force(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    hostile = HostileRepository(repository)
    hostile.name_with(OnlineKeys(repository.keys.naming, repository.keys.naming), 2, EVIL)
    with pytest.raises(ForgedMetadataError):
        trust.check(release(2, EVIL), serving(hostile.files))
    repository.name(2, MANIFEST)
    honest = bin_file(repository, 2)
    in_its_place = HostileRepository(repository)
    in_its_place.name_with(repository.keys, 2, EVIL, only=honest.role)
    in_its_place.replace(honest.role, in_its_place.files.pop(f"{honest.version + 1}.{honest.role}.json"))
    with pytest.raises(MixedMetadataError):
        trust.check(release(2, EVIL), serving(in_its_place.files))


def test_keys_that_were_rotated_out_sign_nothing_any_more(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    old = repository.keys
    repository.rotate_signing_keys()
    trust.check(release(1), serving(repository.files))
    hostile = HostileRepository(repository)
    hostile.name_with(old, 2, EVIL)
    with pytest.raises(ForgedMetadataError):
        trust.check(release(2, EVIL), serving(hostile.files))


def test_a_root_that_the_root_key_did_not_sign_is_refused(repository: ReleaseRepository, trust: ReleaseTrust) -> None:
    stranger = ReleaseRepository()
    stranger.root_key, stranger.keys = repository.keys.naming, OnlineKeys(new_key(), new_key())
    hostile = HostileRepository(repository)
    hostile.files["2.root.json"] = stranger.pinned.replace(b'"version":1', b'"version":2')
    with pytest.raises(ForgedMetadataError):
        trust.check(release(1), serving(hostile.files))


def test_a_fast_forward_with_a_stolen_key_ends_with_the_next_rotation(
    repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    hostile = HostileRepository(repository)
    hostile.date_with(repository.keys, version=2**31 - 1)
    trust.check(release(1), serving(hostile.files))
    repository.name(2, MANIFEST)
    with pytest.raises(OldMetadataError):
        trust.check(release(2), serving(repository.files))
    repository.rotate_signing_keys()
    trust.check(release(2), serving(repository.files))


def test_an_agent_whose_kept_metadata_was_damaged_starts_from_its_pinned_root(
    tmp_path: Path, repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    repository.rotate_signing_keys()
    trust.check(release(1), serving(repository.files))
    for path in (tmp_path / "trust").rglob("*.json"):
        path.write_bytes(b"rubbish")
    ReleaseTrust(tmp_path / "trust", repository.pinned).check(release(1), serving(repository.files))


def test_an_agent_that_is_given_another_root_believes_what_that_names(
    tmp_path: Path, repository: ReleaseRepository, trust: ReleaseTrust
) -> None:
    repository.rotate_signing_keys()
    repository.name(2, MANIFEST)
    trust.check(release(2), serving(repository.files))
    another = ReleaseRepository()
    another.name(3, MANIFEST)
    anew = ReleaseTrust(tmp_path / "trust", another.pinned)
    anew.check(release(3), serving(another.files))
    with pytest.raises(NotReleasedError):
        anew.check(release(2), serving(another.files))


_HONEST = ReleaseRepository()
_HONEST.name(1, MANIFEST)
_FILES = sorted({"timestamp.json", *(f"{role_file(_HONEST, r).version}.{r}.json" for r in ("snapshot", "targets"))})


@settings(max_examples=60)
@given(st.sampled_from([*_FILES, f"2.{bin_file(_HONEST, 1).role}.json"]), st.data())
def test_a_change_of_any_byte_never_makes_an_agent_believe_something_else(file: str, data: st.DataObject) -> None:
    changed = bytearray(_HONEST.files[file])
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    files = {**_HONEST.files, file: bytes(changed)}
    with TemporaryDirectory() as folder:
        trust = ReleaseTrust(Path(folder), _HONEST.pinned)
        for serial, manifest in ((2, EVIL), (1, EVIL)):
            with pytest.raises(BandwatchError):
                trust.check(release(serial, manifest), serving(files))
