"""What the spool holds: segments and anomalies, each with the number that the spool gave it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator

R = TypeVar("R", bound=BaseModel)


class Purpose(StrEnum):
    """Why a segment is kept."""

    EVIDENCE = "evidence"
    TRAINING = "training"
    ROUTINE = "routine"


class Lane(IntEnum):
    """Order of delivery; what is evicted goes from the last lane first."""

    ANOMALY = 0
    EVIDENCE = 1
    TRAINING = 2
    ROUTINE = 3


LANE_OF: Final = {
    Purpose.EVIDENCE: Lane.EVIDENCE,
    Purpose.TRAINING: Lane.TRAINING,
    Purpose.ROUTINE: Lane.ROUTINE,
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentRecord(_Record):
    """All of a segment but its codes."""

    cell: str
    start_at: AwareDatetime
    clock_error_s: float
    frame_count: int
    reference_dbm: float
    purpose: Purpose
    mobility: Literal["static", "walking", "driving"]
    clipped_share: float
    noise_only: bool
    gain_db: float | None
    scored_by_serial: int
    anomalous_windows: int
    codes_digest: str


class AnomalyRecord(_Record):
    """A window whose score exceeded its threshold."""

    cell: str
    window_start_at: AwareDatetime
    window_frames: int
    error_db: float
    score: str
    value: float
    threshold: float
    false_alarm_rate: float
    model: str
    serial: int

    @model_validator(mode="before")
    @classmethod
    def _read_edition_of_one_score(cls, data: Any) -> Any:
        """Read what was kept when the error was the only score."""
        if not (isinstance(data, dict) and "threshold_db" in data and "error_db" in data):
            return data
        rest = {key: value for key, value in data.items() if key != "threshold_db"}
        return {"score": "error", "value": data["error_db"], "threshold": data["threshold_db"], **rest}


class OfCell(BaseModel):
    """What the record of a segment says even when it is of another form otherwise."""

    cell: str


def parse_record(kind: type[R], text: str) -> R | None:
    """Read a record that was written as JSON; None when it is of another form."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None


@dataclass(frozen=True)
class Origin:
    """The identity of what was made: a spool and a number that it gave only once."""

    boot_id: str
    sequence: int


@dataclass(frozen=True)
class HeldSegment:
    """A segment that waits for delivery, with its codes."""

    origin: Origin
    record: SegmentRecord
    codes: bytes


@dataclass(frozen=True)
class HeldAnomaly:
    """An anomaly that waits for delivery."""

    origin: Origin
    record: AnomalyRecord
