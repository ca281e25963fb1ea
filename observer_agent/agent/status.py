"""What the agent runs and holds, in a file that people and programs may read at any time."""

from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from bandwatch.errors import CorruptError, NotFoundError

STATUS_FILE: Final = "status.json"


class RefusedRelease(BaseModel):
    """A release that the agent does not run, and why."""

    serial: int
    code: str
    reason: str


class RefusedItem(BaseModel):
    """A segment or anomaly that the coordinator refused, by its number, and why."""

    sequence: int
    code: str
    reason: str


class AgentStatus(BaseModel):
    """The content of the status file. Counts are those since the agent started, spool counts since the spool began."""

    written_at: AwareDatetime
    state: str
    agent_version: str
    observer: str
    coordinator: str
    last_sync_at: AwareDatetime | None
    source: str
    fault: str
    cell: str | None
    home_cell: str | None
    band: str | None
    latitude_deg: float | None
    longitude_deg: float | None
    applied_revision: int
    running_model: str | None
    running_serial: int
    running_rung: str | None
    shadow_serial: int
    cells_ready: int
    refused: list[RefusedRelease]
    windows_scored: int
    anomalies_found: int
    lost_samples: int
    not_kept: int
    spool_boot_id: str
    spool_made: int
    spool_segments: int
    spool_anomalies: int
    spool_events: int
    spool_statistics: int
    spool_bytes: int
    spool_acknowledged: int
    spool_evicted: int
    spool_refused: int
    quarantine: list[RefusedItem]
    spool_damaged: int
    training_s: float
    uploaded_today_bytes: int
    upload_budget_bytes: int


def write_status(data_dir: Path, status: AgentStatus) -> None:
    """Replace the status file in one step. It is not synced: what it says is soon old."""
    aside = data_dir / f"{STATUS_FILE}.aside"
    aside.write_text(status.model_dump_json(indent=1), encoding="utf-8")
    aside.replace(data_dir / STATUS_FILE)


def read_status(data_dir: Path) -> AgentStatus:
    """Read the status file of an agent.

    Raises:
        NotFoundError: No agent has written one there.
        CorruptError: It is not of the form that this version writes.
    """
    path = data_dir / STATUS_FILE
    try:
        return AgentStatus.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: name the --data-dir of an agent that has run") from error
    except ValidationError as error:
        raise CorruptError(f"{path} was not written by an agent of this version") from error
