"""The spool: nothing that was made is ever unaccounted for."""

import json
import resource
import shutil
import sqlite3
import tempfile
from datetime import date
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bandwatch.errors import UnavailableError
from observer_agent.spool.files import write_durably
from observer_agent.spool.ledger import Totals, is_damage
from observer_agent.spool.records import LANE_OF, HeldSegment, Lane, Origin, Purpose
from observer_agent.spool.store import Spool
from tests.small_disks import small_disk
from tests.unit.observer_agent.spooled import CELL, make_anomaly, make_segment


def open_spool(root: Path, limit_bytes: int = 10**9, quarantine_limit_bytes: int = 10**9) -> Spool:
    return Spool(root / "spool", limit_bytes=limit_bytes, quarantine_limit_bytes=quarantine_limit_bytes)


def unaccounted(totals: Totals) -> int:
    known = totals.held + totals.acknowledged + totals.evicted + totals.refused + totals.damaged
    return totals.made - known


class _SpoolMachine(RuleBasedStateMachine):
    """A spool beside a list that does the same in memory."""

    LIMIT_BYTES = 100_000

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.spool = open_spool(self.root, self.LIMIT_BYTES, 40_000)
        self.boot_ids = {self.spool.totals.boot_id}
        self.held: dict[int, tuple[Lane, bytes]] = {}
        self.made = self.acknowledged = self.refused = self.evicted = self.damaged = 0
        self.training_frames = 0

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            shutil.rmtree(self.root)

    def hold(self, lane: Lane, content: bytes) -> None:
        self.made += 1
        self.held[self.made] = (lane, content)

    def evict(self) -> None:
        while sum(len(content) for _, content in self.held.values()) > self.LIMIT_BYTES:
            self.lose(min(self.held, key=lambda sequence: (-self.held[sequence][0], sequence)))
            self.evicted += 1

    def lose(self, sequence: int) -> None:
        lane, content = self.held.pop(sequence)
        self.training_frames -= len(content) // 128 if lane is Lane.TRAINING else 0

    def first(self) -> int | None:
        segments = [sequence for sequence, (lane, _) in self.held.items() if lane is not Lane.ANOMALY]
        return min(segments, key=lambda sequence: (self.held[sequence][0], sequence), default=None)

    @rule(purpose=st.sampled_from(Purpose), frames=st.integers(125, 250))
    def put_segment(self, purpose: Purpose, frames: int) -> None:
        record, codes = make_segment(self.made, frames=frames, purpose=purpose)
        assert self.spool.put_segment(record, codes) == Origin(self.spool.totals.boot_id, self.made + 1)
        self.hold(LANE_OF[purpose], codes)
        self.training_frames += frames if purpose is Purpose.TRAINING else 0
        self.evict()

    @rule(count=st.integers(0, 3))
    def put_anomalies(self, count: int) -> None:
        anomalies = [make_anomaly()] * count
        self.spool.put_anomalies(anomalies)
        for anomaly in anomalies:
            self.hold(Lane.ANOMALY, anomaly.model_dump_json().encode())
        self.evict()

    @rule(repeat=st.booleans())
    def deliver_the_first(self, repeat: bool) -> None:
        segment = self.spool.next_segment()
        assert (segment.origin.sequence if segment else None) == self.first()
        if segment is not None:
            assert segment.codes == self.held.pop(segment.origin.sequence)[1]
            self.spool.acknowledge([segment.origin] * (1 + repeat))
            if repeat:
                self.spool.acknowledge([segment.origin])
                self.spool.quarantine(segment.origin, "late", "answered twice")
            self.acknowledged += 1

    @rule()
    def refuse_the_second(self) -> None:
        first = self.spool.next_segment()
        second = self.spool.next_segment(excluding=[first.origin]) if first else None
        if second is not None:
            self.lose(second.origin.sequence)
            self.spool.quarantine(second.origin, "invalid_argument", "not liked")
            self.refused += 1

    @rule()
    def deliver_anomalies(self) -> None:
        anomalies = self.spool.anomalies(2)
        expected = sorted(sequence for sequence, (lane, _) in self.held.items() if lane is Lane.ANOMALY)[:2]
        assert [anomaly.origin.sequence for anomaly in anomalies] == expected
        self.spool.acknowledge([anomaly.origin for anomaly in anomalies])
        for sequence in expected:
            del self.held[sequence]
        self.acknowledged += len(expected)

    @rule()
    def answers_for_another_spool_change_nothing(self) -> None:
        self.spool.acknowledge([Origin("0" * 32, sequence) for sequence in self.held])

    @rule(shorter=st.booleans())
    def lose_a_file(self, shorter: bool) -> None:
        if (sequence := self.first()) is not None:
            path = self.root / "spool" / "segments" / f"{sequence}.u8"
            path.write_bytes(path.read_bytes()[:-1]) if shorter else path.unlink()
            found = self.spool.next_segment()
            self.lose(sequence)
            self.damaged += 1
            assert (found.origin.sequence if found else None) == self.first()

    @rule()
    def reopen(self) -> None:
        self.spool.close()
        self.spool = open_spool(self.root, self.LIMIT_BYTES, 40_000)
        assert self.spool.totals.boot_id not in self.boot_ids
        self.boot_ids.add(self.spool.totals.boot_id)

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "spool"):
            return
        totals = self.spool.totals
        assert unaccounted(totals) == 0
        assert (totals.made, totals.held) == (self.made, len(self.held))
        assert (totals.acknowledged, totals.refused) == (self.acknowledged, self.refused)
        assert (totals.evicted, totals.damaged) == (self.evicted, self.damaged)
        assert self.spool.training_frames(CELL) == self.training_frames
        assert totals.held_bytes == sum(len(content) for _, content in self.held.values())
        files = {int(path.stem) for path in (self.root / "spool" / "segments").iterdir()}
        assert files == {sequence for sequence, (lane, _) in self.held.items() if lane is not Lane.ANOMALY}


TestSpoolMachine = _SpoolMachine.TestCase
TestSpoolMachine.settings = hypothesis_settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_evidence_goes_first_then_training_then_routine(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    purposes = [Purpose.ROUTINE, Purpose.TRAINING, Purpose.EVIDENCE, Purpose.TRAINING, Purpose.EVIDENCE]
    for seed, purpose in enumerate(purposes):
        spool.put_segment(*make_segment(seed, purpose=purpose))
    order: list[HeldSegment] = []
    while (segment := spool.next_segment([held.origin for held in order])) is not None:
        order.append(segment)
    assert [held.origin.sequence for held in order] == [3, 5, 2, 4, 1]
    spool.close()


def test_what_does_not_fit_any_more_goes_from_the_last_lane_oldest_first(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=3 * 16_000)
    for seed, purpose in enumerate([Purpose.EVIDENCE, Purpose.TRAINING, Purpose.ROUTINE, Purpose.TRAINING]):
        spool.put_segment(*make_segment(seed, purpose=purpose))
    assert spool.totals.evicted == 1
    spool.put_segment(*make_segment(5, purpose=Purpose.EVIDENCE))
    left = set()
    while (segment := spool.next_segment()) is not None:
        left.add(segment.origin.sequence)
        spool.acknowledge([segment.origin])
    assert left == {1, 4, 5}
    spool.close()


def test_the_quarantine_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, quarantine_limit_bytes=2 * 16_000)
    for seed in range(3):
        spool.quarantine(spool.put_segment(*make_segment(seed)), "invalid_argument", f"reason {seed}")
    assert spool.refusals() == [(2, "invalid_argument", "reason 1"), (3, "invalid_argument", "reason 2")]
    assert sorted(path.name for path in (tmp_path / "spool" / "quarantine").iterdir()) == ["2.u8", "3.u8"]
    assert (spool.totals.refused, unaccounted(spool.totals)) == (3, 0)
    spool.close()


def test_training_time_is_counted_by_cell_and_outlives_delivery_and_restarts(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for seed, (cell, purpose) in enumerate(
        [(CELL, Purpose.TRAINING), ("cells/x", Purpose.TRAINING), (CELL, Purpose.EVIDENCE)]
    ):
        spool.acknowledge([spool.put_segment(*make_segment(seed, cell=cell, frames=200, purpose=purpose))])
    spool.close()
    spool = open_spool(tmp_path)
    assert (spool.training_frames(CELL), spool.training_frames("cells/y")) == (200, 0)
    spool.close()


def test_training_data_that_got_lost_or_was_refused_is_made_again(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=3 * 16_000)
    for seed in range(4):  # the first is evicted
        spool.put_segment(*make_segment(seed))
    spool.put_segment(*make_segment(5, purpose=Purpose.EVIDENCE))  # and so is the second
    assert (spool.totals.evicted, spool.training_frames(CELL)) == (2, 2 * 125)
    third, fourth = (Origin(spool.totals.boot_id, sequence) for sequence in (3, 4))
    spool.quarantine(third, "invalid_argument", "from the future")
    assert spool.training_frames(CELL) == 125
    (tmp_path / "spool" / "segments" / f"{fourth.sequence}.u8").unlink()
    assert spool.next_segment([Origin(spool.totals.boot_id, 5)]) is None
    assert (spool.totals.damaged, spool.training_frames(CELL)) == (1, 0)
    spool.close()


def test_segments_counted_by_nobody_never_count_below_zero(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    record, codes = make_segment(1)
    origin = spool.put_segment(record.model_copy(update={"frame_count": 3}), codes)
    spool.quarantine(origin, "invalid_argument", "its frames do not add up")
    spool.close()
    spool = open_spool(tmp_path)
    assert (spool.totals.refused, spool.training_frames(CELL)) == (1, 0)
    spool.close()


@pytest.mark.fault(
    "a segment on a bad block",
    "it is dropped and counted, the next one delivered",
)
def test_a_segment_on_a_bad_block_is_dropped_and_the_next_one_delivered(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    bad, good = (spool.put_segment(*make_segment(seed)) for seed in range(2))
    path = tmp_path / "spool" / "segments" / f"{bad.sequence}.u8"
    path.unlink()
    path.symlink_to(path)  # reading it fails, and not because it is missing
    segment = spool.next_segment()
    assert segment is not None
    assert (segment.origin, spool.totals.damaged, unaccounted(spool.totals)) == (good, 1, 0)
    spool.close()


def test_a_segment_that_only_cannot_be_opened_at_present_is_kept(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    origin = spool.put_segment(*make_segment(1))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(UnavailableError, match="Too many open files"):
            spool.next_segment()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    segment = spool.next_segment()
    assert segment is not None
    assert segment.origin == origin
    spool.close()


def test_records_of_another_form_are_dropped_and_the_rest_is_delivered(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    record, codes = make_segment(1)
    spool.put_segment(record.model_copy(update={"clipped_share": float("nan")}), codes)
    good = spool.put_segment(*make_segment(2))
    unbounded = make_anomaly().model_copy(update={"error_db": float("inf")})
    spool.put_anomalies([unbounded, unbounded, make_anomaly()])
    segment = spool.next_segment()
    assert segment is not None
    assert segment.origin == good
    assert [anomaly.origin.sequence for anomaly in spool.anomalies(2)] == [5]  # the two before fill the limit
    assert (spool.totals.damaged, unaccounted(spool.totals), spool.training_frames(CELL)) == (3, 0, 125)
    spool.close()


FIRST_SCHEMA = """
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE items (
    sequence INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL,
    lane INTEGER NOT NULL,
    size INTEGER NOT NULL,
    record TEXT NOT NULL,
    digest TEXT NOT NULL,
    quarantined INTEGER NOT NULL DEFAULT 0,
    code TEXT,
    reason TEXT
) STRICT;
CREATE INDEX items_by_lane ON items (quarantined, lane, sequence);
"""
FIRST_ANOMALY = (
    '{"cell":"cells/oak-street","window_start_at":"2026-01-02T03:04:05Z","window_frames":125,"error_db":4.5,'
    '"threshold_db":3.5,"false_alarm_rate":0.01,"model":"models/m7","serial":7}'
)


def write_spool_of_the_first_edition(root: Path) -> bytes:
    """Write a spool as it was when the error was the only score: an anomaly and a segment, whose codes it returns."""
    folder = root / "spool" / "segments"
    folder.mkdir(parents=True)
    record, codes = make_segment(1)
    (folder / "2.u8").write_bytes(codes)
    sums = {
        "boot_id": "b" * 32,
        "last_sequence": 2,
        "held_segments": 1,
        "held_anomalies": 1,
        "held_bytes": len(FIRST_ANOMALY) + len(codes),
        "training_frames": {CELL: 125},
    }
    body = json.dumps(sums)
    index = sqlite3.connect(root / "spool" / "index.sqlite3")
    with index:
        index.executescript(FIRST_SCHEMA)
        index.execute("INSERT INTO state VALUES (1, ?, ?)", (body, sha256(body.encode()).hexdigest()))
        for row in (
            (1, "b" * 32, 0, len(FIRST_ANOMALY), FIRST_ANOMALY),
            (2, "b" * 32, 2, len(codes), record.model_dump_json()),
        ):
            digest = sha256(" ".join(map(str, row)).encode()).hexdigest()
            index.execute(
                "INSERT INTO items (sequence, boot_id, lane, size, record, digest) VALUES (?, ?, ?, ?, ?, ?)",
                (*row, digest),
            )
    index.close()
    return codes


def test_a_spool_of_the_edition_of_one_score_opens_and_everything_in_it_is_delivered(tmp_path: Path) -> None:
    codes = write_spool_of_the_first_edition(tmp_path)
    spool = open_spool(tmp_path)
    spool.put_anomalies([make_anomaly()])
    old, new = spool.anomalies(10)
    assert old.origin == Origin("b" * 32, 1)
    assert old.record.model_dump() == make_anomaly().model_dump() | {"score": "error", "value": 4.5, "threshold": 3.5}
    assert new.record == make_anomaly()
    segment = spool.next_segment()
    assert segment is not None
    assert (segment.origin, segment.codes) == (Origin("b" * 32, 2), codes)
    spool.acknowledge([old.origin, new.origin, segment.origin])
    assert (spool.totals.made, spool.totals.acknowledged, spool.totals.held, spool.totals.damaged) == (3, 3, 0, 0)
    assert not (tmp_path / "spool.damaged").exists()
    spool.close()


@pytest.mark.fault(
    "power lost between a spool's row and its file",
    "what is half there is tidied; the rest is whole",
)
def test_what_a_crash_left_between_a_row_and_its_file_is_tidied(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    kept, refused = (spool.put_segment(*make_segment(seed)) for seed in range(2))
    spool.quarantine(refused, "invalid_argument", "not liked")
    spool.close()
    folder = tmp_path / "spool"
    (folder / "segments" / "77.u8").write_bytes(b"a file whose row was never written")
    (folder / "segments" / "78.u8.aside").write_bytes(b"half a file")
    (folder / "quarantine" / "2.u8").rename(folder / "segments" / "2.u8")
    spool = open_spool(tmp_path)
    assert [path.name for path in (folder / "segments").iterdir()] == [f"{kept.sequence}.u8"]
    assert [path.name for path in (folder / "quarantine").iterdir()] == ["2.u8"]
    spool.close()


@pytest.mark.fault(
    "a spool's index that is no database any more",
    "it is set aside, and a new spool begins",
)
def test_an_index_that_is_no_database_is_set_aside_and_a_new_spool_begins(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    before = spool.put_segment(*make_segment(1))
    spool.close()
    (tmp_path / "spool" / "index.sqlite3").write_bytes(b"x" * 4096)
    spool = open_spool(tmp_path)
    after = spool.put_segment(*make_segment(1))
    assert after.boot_id != before.boot_id
    assert (tmp_path / "spool.damaged" / "segments" / "1.u8").exists()
    assert spool.totals.held == 1
    spool.close()


def damage_row(root: Path, sequence: int) -> None:
    with sqlite3.connect(root / "spool" / "index.sqlite3") as index:
        index.execute("UPDATE items SET record = 'changed' WHERE sequence = ?", (sequence,))
    index.close()


def test_a_damaged_spool_that_cannot_be_set_aside_at_once_is_set_aside_later(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    before = spool.put_segment(*make_segment(1))
    damage_row(tmp_path, before.sequence)
    in_the_way = tmp_path / "spool.damaged"
    in_the_way.touch()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="Not a directory"):
            spool.next_segment()
    in_the_way.unlink()
    assert spool.next_segment() is None
    assert spool.put_segment(*make_segment(2)).boot_id != before.boot_id
    assert (in_the_way / "segments" / "1.u8").exists()
    spool.close()


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_AUTH, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DIRECTORY],
)
def test_no_rights_to_an_index_are_no_damage(code: int) -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = code
    assert not is_damage(error)


def test_an_index_that_may_not_be_written_is_not_set_aside(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    origin = spool.put_segment(*make_segment(1))
    spool._ledger._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(UnavailableError, match="readonly"):
        spool.acknowledge([origin])
    spool._ledger._connection.execute("PRAGMA query_only = OFF")
    spool.acknowledge([origin])
    assert (spool.totals.acknowledged, (tmp_path / "spool.damaged").exists()) == (1, False)
    spool.close()


def fill(root: Path) -> dict[Origin, bytes]:
    spool = open_spool(root)
    made = {}
    for seed in range(6):
        record, codes = make_segment(seed, purpose=list(Purpose)[seed % 3])
        made[spool.put_segment(record, codes)] = codes
    spool.put_anomalies([make_anomaly()] * 3)
    first, second, *_ = made
    spool.acknowledge([first])
    spool.quarantine(second, "invalid_argument", "not liked")
    shutil.copytree(root / "spool", root / "lost-power" / "spool")
    spool.close()
    del made[first], made[second]
    return made


@pytest.mark.fault(
    "a byte flipped anywhere in a spool",
    "no wrong data, no number twice; the rest is delivered",
)
@pytest.mark.parametrize("lost_power", [True, False])
def test_a_flipped_byte_anywhere_never_gives_wrong_data_or_a_number_twice(tmp_path: Path, lost_power: bool) -> None:
    made = fill(tmp_path)
    (boot_id,) = {origin.boot_id for origin in made}
    whole = tmp_path / "lost-power" if lost_power else tmp_path
    for seed in range(30):
        random = np.random.default_rng(seed)
        root = tmp_path / f"copy-{seed}"
        shutil.copytree(whole / "spool", root / "spool")
        paths = sorted(path for path in (root / "spool").rglob("*") if path.is_file())
        path = paths[seed % len(paths)]
        content = bytearray(path.read_bytes())
        if content:
            content[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)

        spool = open_spool(root)
        while (segment := spool.next_segment()) is not None:
            assert made[segment.origin] == segment.codes
            spool.acknowledge([segment.origin])
        for anomaly in spool.anomalies(100):
            assert anomaly.record == make_anomaly()
        assert spool.put_segment(*make_segment(99)).boot_id != boot_id
        assert unaccounted(spool.totals) == 0
        spool.close()
        shutil.rmtree(root)


@pytest.mark.fault(
    "an observer's disk that takes nothing",
    "it is said, and nothing is half kept",
)
def test_a_disk_that_takes_nothing_is_said_and_nothing_is_half_kept(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.put_segment(*make_segment(1))
    shutil.rmtree(tmp_path / "spool" / "segments")  # writing a file now fails, as on a full disk
    with pytest.raises(UnavailableError, match="cannot be used"):
        spool.put_segment(*make_segment(2))
    assert (spool.totals.made, unaccounted(spool.totals)) == (1, 0)
    spool.close()


@pytest.mark.fault(
    "an observer's disk full of segments",
    "what it holds can still be settled, and settling makes room",
)
def test_a_disk_full_of_segments_lets_go_of_what_is_acknowledged(tmp_path: Path) -> None:
    size = 2_000_000
    with small_disk(tmp_path / "disk", 20 << 20) as disk:
        spool = open_spool(disk.folder)
        while shutil.disk_usage(disk.folder).free > 8_000_000 + size:
            spool.put_segment(*make_segment(1, frames=size // 128))
        with pytest.raises(UnavailableError, match="make room"):
            spool.put_segment(*make_segment(2, frames=size // 128))
        made = spool.totals.made
        assert made >= 4
        files = {path.name for path in (disk.folder / "spool" / "segments").iterdir()}
        assert files == {f"{number}.u8" for number in range(1, made + 1)}
        spool.count_sent(date(2026, 1, 1), size)
        first = spool.next_segment()
        assert first is not None
        spool.acknowledge([first.origin])
        spool.put_segment(*make_segment(3, frames=size // 128))
        assert (spool.totals.held, spool.totals.acknowledged, unaccounted(spool.totals)) == (made, 1, 0)
        spool.close()


def test_what_the_disk_does_not_take_leaves_nothing_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        file = disk.folder / "state"
        write_durably(file, b"before")
        with pytest.raises(OSError, match="No space left"):
            write_durably(file, bytes(5 << 20))
        assert [path.name for path in disk.folder.iterdir()] == ["state"]
        assert file.read_bytes() == b"before"


def test_a_spool_that_was_closed_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    origin = spool.put_segment(*make_segment(1))
    spool.close()
    with pytest.raises(UnavailableError):
        spool.acknowledge([origin])
    spool = open_spool(tmp_path)
    assert spool.totals.held == 1
    spool.close()
