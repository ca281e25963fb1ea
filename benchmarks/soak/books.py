"""The books of a soak: what agents were promised against what the coordinators store, and what became of runs."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from bandwatch import names
from bandwatch.artifacts.blobs import BlobStore
from bandwatch.errors import BandwatchError
from bandwatch.spectrogram.bands import FRAME_BINS
from observer_agent.simulation.account import FleetAccount
from observer_agent.simulation.witness import Fate

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Books:
    """Segments that agents made, and what is stored of them."""

    made: int
    acknowledged: int
    refused: int
    given_up: int
    held: int
    """Waiting with the agents in the end."""
    stored: int
    lost: int
    """Acknowledged, and not stored, or without their codes."""
    duplicated: int
    """Stored more than once: of one observer and moment."""
    unanswered: int
    """Stored, and not acknowledged to the agent."""
    left_out: int
    """Looks at the radio that were left out because the machine was too slow."""
    radio_late_s: float
    """How late a look at the radio was at most, for the same reason: segments are late by that too."""
    ended_early: list[str]
    """Agents that ended before their time, and why."""


@dataclass(frozen=True)
class Training:
    """Runs by state, how many needed more than one attempt, how long they took, and releases by state."""

    runs: dict[str, int]
    tried_again: int
    middle_s: float
    longest_s: float
    releases: dict[str, int]


def close_books(connection: Connection, blobs: Path, account: FleetAccount) -> Books:
    """Compare the account of the fleet with rows and codes, as the tests of the whole fleet do."""
    store, whole, moments = BlobStore(blobs), set(), set()
    rows = connection.execute(
        "SELECT observer_id, boot_id, sequence, start_at, frame_count, codes_digest FROM segments"
    ).fetchall()
    for observer, boot_id, sequence, start_at, frames, digest in rows:
        moments.add((observer, boot_id, start_at))
        if _is_whole(store, digest, frames):
            whole.add((observer, boot_id, sequence))
    acknowledged = {
        (names.observers.id(one.observer), numbers.boot_id, number)
        for one in account.observers
        for numbers in one.segments.numbers[Fate.ACKNOWLEDGED]
        for number in range(numbers.first, numbers.last + 1)
    }
    totals = account.totals
    return Books(
        made=totals.made,
        acknowledged=len(acknowledged),
        refused=totals.refused,
        given_up=totals.given_up,
        held=totals.held,
        stored=len(rows),
        lost=len(acknowledged - whole),
        duplicated=len(rows) - len(moments),
        unanswered=len({(observer, boot, number) for observer, boot, number, *_ in rows} - acknowledged),
        left_out=totals.looks_left_out,
        radio_late_s=max(one.radio.latest_s for one in account.observers),
        ended_early=[f"{one.observer}: {one.fault}" for one in account.observers if one.fault],
    )


def _is_whole(store: BlobStore, digest: str, frames: int) -> bool:
    try:
        return len(store.read(digest)) == FRAME_BINS * frames
    except BandwatchError:
        return False


def segment_times(connection: Connection) -> list[tuple[datetime, datetime]]:
    """Return when each segment began, and when it was stored."""
    return [(began, stored) for began, stored in connection.execute("SELECT start_at, stored_at FROM segments")]


def look_at_training(connection: Connection) -> Training:
    """Sum up runs and releases."""
    states = connection.execute("SELECT state, count(*) FROM training_runs GROUP BY state").fetchall()
    releases = connection.execute("SELECT state, count(*) FROM releases GROUP BY state").fetchall()
    tried_again, middle_s, longest_s = connection.execute(
        "SELECT count(*) FILTER (WHERE attempts > 1), "
        "coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - created_at)), 0), "
        "coalesce(max(extract(epoch FROM ended_at - created_at)), 0) FROM training_runs"
    ).fetchone() or (0, 0, 0)
    return Training(dict(states), tried_again, float(middle_s), float(longest_s), dict(releases))
