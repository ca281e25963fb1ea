"""What a release says of a model: its parts by digest, its errors, its thresholds and where it may run."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bandwatch.errors import CorruptError, InvalidArgumentError

MANIFEST_FORMAT: Final = "bandwatch.manifest/2"
LARGEST_MANIFEST_BYTES: Final = 1 << 20
"""A manifest of a few hundred tensors is some tens of kilobytes; more is an attack or a mistake."""

_FIRST_FORMAT: Final = "bandwatch.manifest/1"
_FIRST_THRESHOLD: Final = {"false_alarm_rate", "gaussian_db", "empirical_db"}


def _in_utc(moment: datetime) -> datetime:
    """Write equal moments alike."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time must lie between the years 1 and 9999 UTC") from error


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Decibels = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Family = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
ScoreName = Literal["error", "whitened", "band", "standing", "combined"]
Rate = Annotated[float, Field(gt=0, lt=1)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]

SCORES: Final[tuple[str, ...]] = get_args(ScoreName)
"""Scores of a window. "error": the root mean square of the residual in dB (seed paper). "whitened": the residual's mean
in each bin, with what normally goes together taken out. "band": the largest of that over bands of 1 to 128 bins.
"standing": "band" over the last 8 windows together. "combined": the most conspicuous of the others."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BlobReference(_Frozen):
    """A content-addressed blob: SHA-256 in lower-case hexadecimal, and its length."""

    digest: Digest
    size_bytes: Annotated[int, Field(gt=0, le=1 << 28)]


class TensorEntry(_Frozen):
    """One named weight array: float32 values, little-endian, row-major."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    blob: BlobReference


class ErrorStatistics(_Frozen):
    """Errors in dB over windows that the model was not fitted on."""

    mean_db: Decibels
    deviation_db: Decibels
    windows: Annotated[int, Field(gt=0)]


class Threshold(_Frozen):
    """The score above which a window is an anomaly, for one false-alarm rate, by each method of calibration."""

    false_alarm_rate: Rate
    gaussian: Score
    empirical: Score
    bound: Score


class ScoreTable(_Frozen):
    """A score, how it is spread over normal windows that were not fitted, and its thresholds.

    Mean and deviation are those of its natural logarithm; the score "combined" is a deviation itself, and has 0 and 1.
    """

    score: ScoreName
    log_mean: Score
    log_deviation: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1, max_length=64)]

    def threshold_for(self, false_alarm_rate: float) -> Threshold:
        """Return the threshold calibrated for the nearest rate that is not above the wanted one.

        Where every calibrated rate is above it, the lowest one serves.
        """
        lowest = min(self.thresholds, key=lambda threshold: threshold.false_alarm_rate)
        below = [t for t in self.thresholds if t.false_alarm_rate <= false_alarm_rate * (1 + 1e-9)]
        return max(below, key=lambda threshold: threshold.false_alarm_rate, default=lowest)


class Candidate(_Frozen):
    """One way to make a student that was tried: its family, the teacher it starts from, and its errors.

    Both errors are over the same windows that were left out of the fit; a family without a teacher has no second one.
    """

    family: Family
    teacher: str | None = None
    error: ErrorStatistics
    unadapted_error: ErrorStatistics | None = None


class ModelContent(_Frozen):
    """What a training run made, apart from where it is released to."""

    family: Family
    graph: BlobReference
    tensors: Annotated[tuple[TensorEntry, ...], Field(min_length=1, max_length=256)]
    frozen_layers: Annotated[int, Field(ge=0, le=64)]
    error: ErrorStatistics
    scores: Annotated[tuple[ScoreTable, ...], Field(min_length=1, max_length=16)]
    default_score: ScoreName
    golden_errors_db: Annotated[tuple[Decibels, ...], Field(min_length=1, max_length=64)]
    parent_error: ErrorStatistics | None = None
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=64)] = ()
    choice: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="before")
    @classmethod
    def _read_edition_of_one_score(cls, data: Any) -> Any:
        """Read what was written when the error was the only score and its thresholds stood alone."""
        if not (isinstance(data, dict) and isinstance(data.get("thresholds"), list)):
            return data
        if "scores" in data or "default_score" in data:
            return data
        rest = {key: value for key, value in data.items() if key != "thresholds"}
        rows = [_with_bound(row) for row in data["thresholds"]]
        table = {"score": "error", "log_mean": 0.0, "log_deviation": 1.0, "thresholds": rows}
        return rest | {"scores": [table], "default_score": "error"}

    @model_validator(mode="after")
    def _see_that_the_scores_agree(self) -> Self:
        if self.default_score not in self.score_names:
            raise ValueError(f"the default score {self.default_score!r} has no table")
        if len(set(self.score_names)) < len(self.scores):
            raise ValueError("a score has two tables")
        if self.score_names == ("combined",):
            raise ValueError("the score 'combined' has no other score to combine")
        return self

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that this model is calibrated for."""
        return tuple(table.score for table in self.scores)

    @property
    def beats_parent(self) -> bool:
        """Whether the error is below that of the unadapted parent; true where there is none."""
        return self.parent_error is None or self.error.mean_db < self.parent_error.mean_db

    def blobs(self) -> tuple[BlobReference, ...]:
        """Return every blob that the model needs, the graph first."""
        return (self.graph, *(tensor.blob for tensor in self.tensors))

    def table_of(self, score: str) -> ScoreTable:
        """Return the table of a score.

        Raises:
            InvalidArgumentError: The model is not calibrated for it.
        """
        for table in self.scores:
            if table.score == score:
                return table
        raise InvalidArgumentError(
            f"this model is not calibrated for the score {score!r}: choose from {', '.join(self.score_names)}"
        )


def _with_bound(row: Any) -> Any:
    """Return a threshold of the edition of one score as it is written now; whatever else it is, it is refused later."""
    if not (isinstance(row, dict) and row.keys() == _FIRST_THRESHOLD):
        return row
    gaussian, empirical = row["gaussian_db"], row["empirical_db"]
    known = isinstance(gaussian, int | float) and isinstance(empirical, int | float)
    return {
        "false_alarm_rate": row["false_alarm_rate"],
        "gaussian": gaussian,
        "empirical": empirical,
        "bound": max(gaussian, empirical) if known else None,
    }


class Manifest(_Frozen):
    """The signed statement that a model may run in a cell, in every cell of a band, or anywhere."""

    format: Literal["bandwatch.manifest/2"] = MANIFEST_FORMAT
    serial: Annotated[int, Field(gt=0)]
    model: str
    band: str | None
    cell: str | None
    parent: str | None
    run: str
    content: ModelContent
    created_at: Moment

    @model_validator(mode="before")
    @classmethod
    def _read_first_format(cls, data: Any) -> Any:
        """Read what was signed when a model had one score: the content says which edition it is."""
        if isinstance(data, dict) and data.get("format") == _FIRST_FORMAT:
            return data | {"format": MANIFEST_FORMAT}
        return data

    def to_bytes(self) -> bytes:
        """Return canonical JSON: sorted keys, no spaces, UTF-8. Equal manifests give equal bytes."""
        plain = self.model_dump(mode="json")
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a manifest.

        Raises:
            CorruptError: The bytes are too many, no JSON, or no manifest of this format.
        """
        if len(content) > LARGEST_MANIFEST_BYTES:
            raise CorruptError(f"a manifest of {len(content)} bytes is larger than {LARGEST_MANIFEST_BYTES}")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise CorruptError(f"this is no manifest that this version understands: {where}: {first['msg']}") from error
