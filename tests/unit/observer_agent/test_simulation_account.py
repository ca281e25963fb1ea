"""The account of a simulation: every segment has one fate, and what is printed adds up."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from observer_agent.simulation.account import (
    FleetAccount,
    Numbers,
    ObserverAccount,
    account_of,
    in_ranges,
    table_of,
    totals_of,
)
from observer_agent.simulation.radio import Looks
from observer_agent.simulation.witness import Contact, Fate, Witness, WitnessedSpool
from observer_agent.spool.records import Origin
from tests.unit.observer_agent.spooled import CELL, make_anomaly, make_segment


def open_spool(root: Path, limit_bytes: int = 10**9) -> WitnessedSpool:
    spool = WitnessedSpool(root / "spool", limit_bytes=limit_bytes, quarantine_limit_bytes=10**9)
    spool.witness = Witness()
    return spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[WitnessedSpool]:
    spool = open_spool(tmp_path)
    yield spool
    spool.close()


def account(spool: WitnessedSpool, name: str = "observers/roof") -> ObserverAccount:
    spool.witness.close(spool.held_numbers())
    return account_of(name, "static", spool.witness, Looks(heard=3), [], "")


def test_numbers_that_follow_one_another_become_one_range_for_each_start_of_a_spool() -> None:
    a, b = "a" * 32, "b" * 32
    origins = [Origin(a, 3), Origin(b, 4), Origin(a, 1), Origin(a, 2), Origin(a, 7)]
    assert in_ranges(origins) == [
        Numbers(boot_id=a, first=1, last=3),
        Numbers(boot_id=a, first=7, last=7),
        Numbers(boot_id=b, first=4, last=4),
    ]
    assert in_ranges([]) == []


def test_every_segment_is_held_acknowledged_refused_or_given_up_and_reports_are_no_segments(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=3 * 125 * 128)
    origins = [spool.put_segment(*make_segment(seed)) for seed in range(5)]  # two more than there is room for
    spool.put_anomalies([make_anomaly()])
    spool.acknowledge([origins[2], spool.anomalies(1)[0].origin])
    spool.quarantine(origins[3], "invalid_argument", "nobody likes it")
    segments = account(spool).segments
    spool.close()
    assert (segments.made, segments.held_before) == (5, 0)
    assert (segments.acknowledged, segments.refused, segments.given_up, segments.held) == (1, 1, 2, 1)
    assert segments.acknowledged_by_cell == {CELL: 1}
    assert segments.refusals == [f"{origins[3].boot_id}.4 invalid_argument: nobody likes it"]
    boot_id = origins[0].boot_id
    assert segments.numbers == {
        Fate.HELD: [Numbers(boot_id=boot_id, first=5, last=5)],
        Fate.ACKNOWLEDGED: [Numbers(boot_id=boot_id, first=3, last=3)],
        Fate.REFUSED: [Numbers(boot_id=boot_id, first=4, last=4)],
        Fate.GIVEN_UP: [Numbers(boot_id=boot_id, first=1, last=2)],
    }


def test_what_lay_in_the_spool_before_counts_as_held_before_under_its_own_numbers(tmp_path: Path) -> None:
    before = open_spool(tmp_path)
    old = before.put_segment(*make_segment(1))
    before.close()
    spool = open_spool(tmp_path)
    new = spool.put_segment(*make_segment(2))
    held = spool.next_segment()
    assert held is not None
    spool.acknowledge([held.origin])
    segments = account(spool).segments
    spool.close()
    assert (segments.made, segments.held_before, segments.acknowledged, segments.held) == (1, 1, 1, 1)
    assert [each.boot_id for each in segments.numbers[Fate.ACKNOWLEDGED]] == [old.boot_id] != [new.boot_id]


def test_bytes_that_travel_are_counted_each_time(spool: WitnessedSpool) -> None:
    today = datetime.now(UTC).date()
    spool.count_sent(today, 100)
    spool.count_sent(today, 100)
    assert account(spool).sent_bytes == 200


def fleet_account(observers: list[ObserverAccount]) -> FleetAccount:
    now = datetime.now(UTC)
    totals = totals_of(observers, cpu_s=1.0, peak_memory_mb=2.0)
    return FleetAccount(
        began_at=now, ended_at=now, network="town", listen_s=1, period_s=2, totals=totals, observers=observers
    )


def test_the_table_adds_up_and_shows_first_who_has_most_without_an_answer(tmp_path: Path) -> None:
    observers = []
    for number in range(25):
        spool = open_spool(tmp_path / str(number))
        origins = [spool.put_segment(*make_segment(seed)) for seed in range(2)]
        spool.acknowledge(origins if number != 23 else origins[:1])
        observers.append(account(spool, f"observers/o{number}"))
        spool.close()
    observers[7].fault = "its disk broke"
    text = table_of(fleet_account(observers))
    lines = text.splitlines()
    assert lines[1].split()[:6] == ["observers/o23", "2", "1", "0", "0", "1"]
    assert "... and 5 more in the file" in lines
    assert "25 observers: 50 segments made, 0 held before, 49 acknowledged, 0 refused, 0 given up, 1 held" in text
    assert "75 looks at the radio" in text
    assert lines[-1] == "observers/o7 ended early: its disk broke"


def test_an_outage_lasts_from_the_first_failure_to_the_next_answer_and_a_pause_from_answer_to_answer() -> None:
    contact = Contact(last_s=time.monotonic() - 50.0)
    contact.failed()
    contact.failed()
    contact.succeeded()
    assert contact.longest_pause_s == pytest.approx(50.0, abs=5.0)
    assert 0 < contact.longest_outage_s < 5.0
