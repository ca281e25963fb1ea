"""What the worker hands to the process of an attempt, and what that process's exit code means."""

from typing import Final

from pydantic import TypeAdapter

from training_worker.coordinator_client import ClaimedRun

CLEAN_END: Final = 0
RETRY_IN_VAIN: Final = 3
"""The run itself is at fault: no other attempt can do better."""
LEASE_LOST: Final = 4
"""Somebody else owns the run now."""
STOPPED: Final = 5
"""The worker was told to stop."""
COORDINATOR_AWAY: Final = 6
"""The coordinator could not be reached, or had no room, for longer than calls are repeated."""

_CLAIMED: Final = TypeAdapter(ClaimedRun)


def to_json(claimed: ClaimedRun) -> str:
    """Return a claimed run as one line of JSON."""
    return _CLAIMED.dump_json(claimed).decode()


def from_json(line: str) -> ClaimedRun:
    """Read a claimed run."""
    return _CLAIMED.validate_json(line)
