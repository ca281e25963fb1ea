"""Every setting of the agent, read once: options of the command, else the environment (BANDWATCH_AGENT_...)."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, FilePath, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bandwatch.artifacts.manifest import ScoreName
from bandwatch.errors import InvalidArgumentError

ENVIRONMENT_PREFIX: Final = "BANDWATCH_AGENT_"

Mobility = Literal["static", "walking", "driving"]
ScoreChoice = Literal["default", ScoreName]
ThresholdMethod = Literal["bound", "empirical", "gaussian"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]


class AgentSettings(BaseSettings):
    """Whom the agent serves, what it listens to, and its limits."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(description="Folder of everything that the agent keeps.")
    identity_dir: Path | None = Field(
        None, description="Folder of what `enroll` made; identity in the agent's folder when absent."
    )
    coordinator: str | None = Field(
        None,
        pattern=r"^\S+:\d{1,5}$",
        description="HOST:PORT where members are served, if it is another one than at enrolment.",
    )

    recording: FilePath | None = Field(None, description="SigMF metadata file of a recording to play.")
    drive: FilePath | None = Field(None, description="JSON file that describes a drive through simulated cells.")
    simulate: Annotated[
        FilePath | None, Field(validate_default=True, description="JSON file that describes a simulated cell.")
    ] = None
    anomalies: FilePath | None = Field(None, description="JSON timetable of anomalies to mix in, for drills.")
    loop: bool = Field(default=False, description="Play the recording again and again.")
    passes: Annotated[int, Field(ge=1, description="Times to play the recording, unless it loops.")] = 1
    start_seconds: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="Seconds of the recording to leave out at its start.")
    ] = 0.0
    duration_seconds: Positive | None = Field(None, description="Seconds of the recording to play; all when absent.")
    center_hz: Positive | None = Field(None, description="Frequency that the recording was tuned to, in Hz.")
    pace: Literal["real", "fast"] = Field(
        "real", description="At the speed of the air, or as fast as possible: real or fast."
    )
    exit_at_end: bool = Field(default=False, description="Stop once the source has ended and the spool is delivered.")
    mobility: Mobility | None = Field(
        None, description="static, walking or driving; as simulated, else static, when absent."
    )
    track: FilePath | None = Field(None, description="GPX or CSV file of the way that the observer takes.")
    gpsd: str | None = Field(
        None, pattern=r"^\S+:\d{1,5}$", description="HOST:PORT of a gpsd that knows where the observer is."
    )
    serving_cell: Annotated[
        Path | None, Field(validate_default=True, description="File into which a modem tool writes the serving cell.")
    ] = None
    border_margin_m: Annotated[
        float, Field(ge=0, le=100_000, description="How much nearer another cell must be, in metres.")
    ] = 50.0
    border_time_s: Annotated[
        float, Field(ge=0, le=600, description="How long another cell must be nearer, in seconds.")
    ] = 3.0
    position_timeout_s: Positive = Field(30.0, description="Seconds after which a position of gpsd says nothing more.")
    model_cache_mb: Annotated[
        int, Field(ge=1, le=100_000, description="Megabytes of models of other cells that are kept ready.")
    ] = 64
    clock_error_s: Annotated[
        float, Field(ge=0, le=86_400, description="How far this observer's clock may be off, in seconds.")
    ] = 0.1

    stride_frames: Annotated[int, Field(ge=1, le=125, description="Frames between the starts of scored windows.")] = 25
    false_alarm_rate: Share = Field(0.01, description="Share of normal windows that may be flagged.")
    score: ScoreChoice = Field(
        "default",
        description="Which score flags windows: default (the model's own choice), error, whitened, band, standing or "
        "combined.",
    )
    threshold_method: ThresholdMethod = Field(
        "bound", description="Which of the calibrated thresholds to use: bound, empirical or gaussian."
    )
    onnx_threads: Annotated[int, Field(ge=1, le=64, description="Threads that one scoring may use.")] = 1
    evidence_segments_per_hour: Annotated[
        int, Field(ge=0, le=3600, description="Segments of evidence made in any hour, at most.")
    ] = 60
    statistics_span_s: Annotated[
        float, Field(gt=0, le=86_400, description="Seconds that one report of statistics covers.")
    ] = 60.0
    event_windows: Annotated[int, Field(ge=1, le=1000, description="Windows that decide about an event.")] = 16
    event_raise_at: Annotated[
        int, Field(ge=1, le=1000, description="Anomalous windows among them that raise an event.")
    ] = 8
    event_clear_at: Annotated[
        int, Field(ge=0, le=999, description="Anomalous windows among them at which an event is over.")
    ] = 2
    inspect: Path | None = Field(None, description="Folder to write every frame and score to.")

    spool_limit_mb: Annotated[int, Field(ge=8, le=1_000_000, description="Size of the spool in megabytes.")] = 512
    quarantine_limit_mb: Annotated[
        int, Field(ge=0, le=1_000_000, description="Size of the quarantine of refused segments in megabytes.")
    ] = 64

    sync_deadline_s: Positive = Field(10.0, description="Deadline of Sync and ReportAnomalies in seconds.")
    fetch_deadline_s: Positive = Field(60.0, description="Seconds that one part of a download may take.")
    watch_deadline_s: Positive = Field(540.0, description="Seconds after which the agent renews its Watch.")
    answer_deadline_s: Positive = Field(60.0, description="Seconds to wait for the answer to an uploaded segment.")
    upload_idle_s: Positive = Field(15.0, description="Seconds without segments after which an upload ends.")
    upload_in_flight_mb: Annotated[
        int, Field(ge=1, le=1000, description="Megabytes sent and not yet answered, at most.")
    ] = 8
    upload_budget_mb: Annotated[
        int, Field(ge=1, le=1_000_000, description="Megabytes of segments sent in a day (UTC), at most.")
    ] = 2000
    retry_base_s: Positive = Field(0.5, description="Longest wait before the first retry in seconds; it doubles.")
    retry_cap_s: Positive = Field(30.0, description="Longest wait before any retry in seconds.")
    refused_retry_s: Positive = Field(
        60.0,
        description="Seconds between tries while the certificate is not accepted, or a release is missing or damaged.",
    )
    status_interval_s: Positive = Field(2.0, description="Seconds between two writings of the status file.")

    @property
    def identity_folder(self) -> Path:
        """Folder of the observer's identity."""
        return self.identity_dir or self.data_dir / "identity"

    @field_validator("event_clear_at")
    @classmethod
    def _hysteresis(cls, clear_at: int, info: ValidationInfo) -> int:
        raise_at, windows = info.data.get("event_raise_at", clear_at + 1), info.data.get("event_windows", 1000)
        if not clear_at < raise_at <= windows:
            raise ValueError("an event must be raised by more windows than clear it, and by no more than are looked at")
        return clear_at

    @field_validator("simulate")
    @classmethod
    def _one_source(cls, simulate: Path | None, info: ValidationInfo) -> Path | None:
        known = {"recording", "drive"} <= info.data.keys()
        if known and sum(source is not None for source in (simulate, info.data["recording"], info.data["drive"])) != 1:
            raise ValueError("give exactly one source: a recording, a simulated cell or a drive")
        return simulate

    @field_validator("serving_cell")
    @classmethod
    def _one_position(cls, serving_cell: Path | None, info: ValidationInfo) -> Path | None:
        if sum(given is not None for given in (serving_cell, info.data.get("track"), info.data.get("gpsd"))) > 1:
            raise ValueError("give at most one source of positions: a track, gpsd or a serving cell")
        return serving_cell

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Self:
        """Read the settings; options that are None come from the environment.

        Raises:
            InvalidArgumentError: The sentence lists every fault.
        """
        try:
            return cls(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            faults = [_sentence(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False)]
            raise InvalidArgumentError("these settings will not do:\n" + "\n".join(faults)) from error


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else "settings"
    return f"  {name} ({ENVIRONMENT_PREFIX}{name.upper()}): {message}"
