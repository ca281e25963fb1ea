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
    """Order of delivery; what is evicted goes from the last lane first. Lanes above zero hold segments."""

    EVENT = -2
    STATISTICS = -1
    """Comes last to be delivered, and is the first to be evicted."""
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
    speed_mps: float | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    accuracy_m: float | None = None
    clipped_share: float
    noise_only: bool
    gain_db: float | None
    scored_by_serial: int
    anomalous_windows: int
    codes_digest: str
    self_test: str = ""


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
    rung: Literal["", "student", "teacher", "global"] = ""

    @model_validator(mode="before")
    @classmethod
    def _read_edition_of_one_score(cls, data: Any) -> Any:
        """Read what was kept when the error was the only score."""
        if not (isinstance(data, dict) and "threshold_db" in data and "error_db" in data):
            return data
        rest = {key: value for key, value in data.items() if key != "threshold_db"}
        return {"score": "error", "value": data["error_db"], "threshold": data["threshold_db"], **rest}


class EventRecord(_Record):
    """What is known of an event at one moment; the newest record of an event counts."""

    event_id: str
    cell: str
    low_hz: float
    high_hz: float
    start_at: AwareDatetime
    end_at: AwareDatetime | None
    kind: Literal["wide", "partial", "narrowband", "power_step", "outage"]
    kind_confidence: float
    severity: Literal["low", "medium", "high"]
    windows: int
    anomalous_windows: int
    score: str
    peak_value: float
    threshold: float
    serial: int
    excess_db: float
    self_test: str = ""


class ScoreRecord(_Record):
    """What one release said of the windows of a span."""

    serial: int
    shadow: bool
    windows: int
    anomalous_windows: int
    unscored_windows: int
    error_sum_db: float
    error_square_sum_db2: float
    false_alarm_rate: float
    scoring_s: float


class ComparisonRecord(_Record):
    """Errors of the release in shadow less those of the active one, on the same windows."""

    active_serial: int
    shadow_serial: int
    windows: int
    difference_sum_db: float
    difference_square_sum_db2: float


class StatisticsRecord(_Record):
    """Sums over one span of time in one cell."""

    cell: str
    start_at: AwareDatetime
    duration_s: float
    frames: int
    power_dbm: float
    noise_floor_dbm: float
    clipped_share: float
    lost_samples: int
    noise_only_share: float
    scores: tuple[ScoreRecord, ...]
    comparison: ComparisonRecord | None


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


@dataclass(frozen=True)
class HeldEvent:
    """A report of an event that waits for delivery."""

    origin: Origin
    record: EventRecord


@dataclass(frozen=True)
class HeldStatistics:
    """A span that waits for delivery."""

    origin: Origin
    record: StatisticsRecord
