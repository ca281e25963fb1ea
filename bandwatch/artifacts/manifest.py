"""What a release says of a model: its parts by digest, its errors, its thresholds and where it may run."""

import json
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bandwatch.errors import CorruptError

MANIFEST_FORMAT: Final = "bandwatch.manifest/1"
LARGEST_MANIFEST_BYTES: Final = 1 << 20
"""A manifest of a few hundred tensors is some tens of kilobytes; more is an attack or a mistake."""


def _in_utc(moment: datetime) -> datetime:
    """Write equal moments alike."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time must lie between the years 1 and 9999 UTC") from error


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Decibels = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


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
    """The error above which a window is an anomaly, for one false-alarm rate, by either method."""

    false_alarm_rate: Rate
    gaussian_db: Decibels
    empirical_db: Decibels


class ModelContent(_Frozen):
    """What a training run made, apart from where it is released to."""

    family: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    graph: BlobReference
    tensors: Annotated[tuple[TensorEntry, ...], Field(min_length=1, max_length=256)]
    frozen_layers: Annotated[int, Field(ge=0, le=64)]
    error: ErrorStatistics
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1, max_length=64)]
    golden_errors_db: Annotated[tuple[Decibels, ...], Field(min_length=1, max_length=64)]
    parent_error: ErrorStatistics | None = None

    def blobs(self) -> tuple[BlobReference, ...]:
        """Return every blob that the model needs, the graph first."""
        return (self.graph, *(tensor.blob for tensor in self.tensors))

    def threshold_for(self, false_alarm_rate: float) -> Threshold:
        """Return the threshold calibrated for the nearest rate that is not above the wanted one.

        Where every calibrated rate is above it, the lowest one serves.
        """
        lowest = min(self.thresholds, key=lambda threshold: threshold.false_alarm_rate)
        below = [t for t in self.thresholds if t.false_alarm_rate <= false_alarm_rate * (1 + 1e-9)]
        return max(below, key=lambda threshold: threshold.false_alarm_rate, default=lowest)


class Manifest(_Frozen):
    """The signed statement that a model may run in a cell, or in every cell of a band."""

    format: Literal["bandwatch.manifest/1"] = MANIFEST_FORMAT
    serial: Annotated[int, Field(gt=0)]
    model: str
    band: str
    cell: str | None
    parent: str | None
    run: str
    content: ModelContent
    created_at: Moment

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
