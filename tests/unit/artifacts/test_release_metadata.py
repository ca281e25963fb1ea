"""Signed metadata: what is named and not withdrawn is named, and each change touches no more than it must."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from bandwatch.artifacts.release_metadata import (
    BIN_BITS,
    Lives,
    MetadataEdit,
    SignedFile,
    bin_of,
    every_bin,
    first_files,
    release_path,
)
from bandwatch.artifacts.release_roots import first_root
from bandwatch.artifacts.signing import OnlineKeys, new_key
from bandwatch.errors import FailedPreconditionError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIVES = Lives(timedelta(days=1), timedelta(days=90))
KEYS = OnlineKeys(new_key(), new_key())
ROOT = first_root(new_key(), KEYS, NOW)
FIRST = {file.role: file for file in first_files(ROOT, KEYS, LIVES, NOW)}


def contents(files: dict[str, SignedFile]) -> dict[str, bytes]:
    return {role: file.content for role, file in files.items()}


def after(files: dict[str, SignedFile], edit: MetadataEdit, now: datetime = NOW) -> dict[str, SignedFile]:
    return files | {file.role: file for file in edit.sign(ROOT, KEYS, LIVES, now)}


def named(files: dict[str, SignedFile]) -> dict[str, tuple[int, str]]:
    """Return length and digest by path, over all bins."""
    targets = [Metadata[Targets].from_bytes(files[role].content).signed.targets for role in every_bin()]
    return {path: (file.length, file.hashes["sha256"]) for some in targets for path, file in some.items()}


def test_a_new_deployment_has_every_file_and_names_nothing() -> None:
    assert set(FIRST) == {*every_bin(), "targets", "snapshot", "timestamp"}
    assert len(every_bin()) == 2**BIN_BITS
    assert {file.version for file in FIRST.values()} == {1}
    assert named(FIRST) == {}


@given(st.integers(1, 2**63 - 1))
def test_a_release_lies_in_the_bin_that_the_first_bits_of_its_digest_say(serial: int) -> None:
    first_bits = sha256(release_path(serial).encode()).digest()[0] >> (8 - BIN_BITS)
    assert bin_of(serial) == every_bin()[first_bits]


@settings(max_examples=20)
@given(st.dictionaries(st.integers(1, 10**6), st.binary(min_size=1, max_size=20), min_size=1, max_size=8), st.data())
def test_what_was_named_and_not_withdrawn_is_what_is_named(releases: dict[int, bytes], data: st.DataObject) -> None:
    edit = MetadataEdit(contents(FIRST))
    for serial, manifest in releases.items():
        edit.name(serial, manifest, {"band": "bands/b", "cell": None})
    withdrawn = data.draw(st.sets(st.sampled_from(sorted(releases))))
    for serial in withdrawn:
        edit.withdraw(serial)
    left = {serial: manifest for serial, manifest in releases.items() if serial not in withdrawn}
    assert edit.serials == set(left)
    assert named(after(FIRST, edit)) == {
        release_path(serial): (len(manifest), sha256(manifest).hexdigest()) for serial, manifest in left.items()
    }


def test_a_release_changes_its_bin_and_what_leads_to_it_only() -> None:
    edit = MetadataEdit(contents({role: FIRST[role] for role in (bin_of(7), "snapshot", "timestamp")}))
    edit.name(7, b"manifest", {})
    made = edit.sign(ROOT, KEYS, LIVES, NOW)
    assert [(file.role, file.version) for file in made] == [(bin_of(7), 2), ("snapshot", 2), ("timestamp", 2)]


def test_snapshot_and_timestamp_hold_the_digests_of_what_they_lead_to() -> None:
    edit = MetadataEdit(contents(FIRST))
    edit.name(7, b"manifest", {})
    files = after(FIRST, edit)
    snapshot = Metadata[Snapshot].from_bytes(files["snapshot"].content).signed
    timestamp = Metadata[Timestamp].from_bytes(files["timestamp"].content).signed
    for role in (*every_bin(), "targets"):
        entry = snapshot.meta[f"{role}.json"]
        assert (entry.version, entry.length) == (files[role].version, len(files[role].content))
        assert entry.hashes == {"sha256": sha256(files[role].content).hexdigest()}
    assert timestamp.snapshot_meta.hashes == {"sha256": sha256(files["snapshot"].content).hexdigest()}
    assert set(snapshot.meta) == {f"{role}.json" for role in (*every_bin(), "targets")}


def test_a_withdrawal_of_what_is_not_named_changes_nothing() -> None:
    edit = MetadataEdit(contents(FIRST))
    edit.withdraw(7)
    assert not edit.changed


@pytest.mark.parametrize(("hours", "due"), [(0, False), (7.9, False), (8.1, True), (24, True), (1000, True)])
def test_a_timestamp_is_due_once_a_third_of_its_life_is_over(hours: float, due: bool) -> None:
    edit = MetadataEdit(contents(FIRST))
    assert edit.is_due("timestamp", NOW + timedelta(hours=hours), LIVES.timestamp) is due


def test_signing_again_raises_the_timestamp_alone() -> None:
    later = NOW + timedelta(hours=9)
    made = MetadataEdit(contents({role: FIRST[role] for role in ("snapshot", "timestamp")})).sign(
        ROOT, KEYS, LIVES, later
    )
    assert [(file.role, file.version) for file in made] == [("timestamp", 2)]
    assert Metadata[Timestamp].from_bytes(made[0].content).signed.expires == later + LIVES.timestamp


def test_a_renewal_signs_everything_again() -> None:
    edit = MetadataEdit(contents(FIRST))
    edit.renew()
    files = after(FIRST, edit, NOW + timedelta(days=40))
    assert {file.version for file in files.values()} == {2}
    expiries = {Metadata[Targets].from_bytes(files[role].content).signed.expires for role in every_bin()}
    assert expiries == {NOW + timedelta(days=130)}


def test_keys_that_the_root_does_not_name_sign_nothing() -> None:
    edit = MetadataEdit(contents(FIRST))
    edit.name(7, b"manifest", {})
    with pytest.raises(FailedPreconditionError, match="rotate-signing-key"):
        edit.sign(ROOT, OnlineKeys(KEYS.naming, new_key()), LIVES, NOW)
