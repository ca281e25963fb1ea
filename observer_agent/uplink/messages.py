"""What the agent says and hears, as messages and back."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from bandwatch.artifacts.ladder import Rung
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import CorruptError, UnavailableError
from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.wire import convert
from bandwatch.wire.codes import compress_codes
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1 import spectrum_pb2, statistics_pb2
from observer_agent.models.desired import AssignedRelease, CaptureOrder, CellAssignment, DesiredState, SelfTestOrder
from observer_agent.places.place_finder import Place
from observer_agent.places.positions import Fix
from observer_agent.spool.records import HeldAnomaly, HeldSegment, Origin, Purpose

_PURPOSES = {
    Purpose.EVIDENCE: spectrum_pb2.PURPOSE_EVIDENCE,
    Purpose.TRAINING: spectrum_pb2.PURPOSE_TRAINING,
    Purpose.ROUTINE: spectrum_pb2.PURPOSE_ROUTINE,
}
_MOBILITIES = {
    "static": spectrum_pb2.MOBILITY_STATIC,
    "walking": spectrum_pb2.MOBILITY_WALKING,
    "driving": spectrum_pb2.MOBILITY_DRIVING,
}


@dataclass(frozen=True)
class Refusal:
    """A release that this agent does not run, and why."""

    serial: int
    code: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What the agent runs and holds."""

    agent_version: str
    applied_revision: int
    running_serial: int
    running_model: str
    refused: tuple[Refusal, ...]
    spooled_segments: int
    spooled_bytes: int
    windows_scored: int
    anomalies_found: int
    cell: str = ""
    """Where the agent is, which may be another cell than its own."""
    fix: Fix | None = None
    shadow_serial: int = 0
    running_since_at: datetime | None = None
    rung: Rung | None = None
    uploaded_today_bytes: int = 0
    upload_budget_bytes: int = 0


@dataclass(frozen=True)
class Orders:
    """The answer to a report: the desired state, bytes that may be in flight, and when to ask again.

    `clock_off_s` is how far this machine's clock is from the coordinator's, at least, in seconds.
    """

    desired: DesiredState
    upload_credit_bytes: int
    next_poll_s: float
    clock_off_s: float


@dataclass(frozen=True)
class Outcome:
    """What became of one thing that was sent; `code` and `reason` say why it was refused."""

    origin: Origin
    stored: bool
    code: str = ""
    reason: str = ""


def sync_request(report: Report) -> pb.SyncRequest:
    """Return a report as a message."""
    refused = [
        pb.RefusedRelease(serial=refusal.serial, code=refusal.code[:60], reason=refusal.reason[:1000])
        for refusal in report.refused
    ]
    state = pb.ReportedState(
        agent_version=report.agent_version,
        applied_revision=report.applied_revision,
        running_serial=report.running_serial,
        running_model=report.running_model,
        refused=refused,
        spooled_segments=report.spooled_segments,
        spooled_bytes=report.spooled_bytes,
        windows_scored=report.windows_scored,
        anomalies_found=report.anomalies_found,
        cell=report.cell,
        position=_position_message(report.fix) if report.fix else None,
        shadow_serial=report.shadow_serial,
        running_since_time=convert.to_timestamp(report.running_since_at) if report.running_since_at else None,
        running_rung=_rung_number(report.rung or ""),
        uploaded_today_bytes=report.uploaded_today_bytes,
        upload_budget_bytes=report.upload_budget_bytes,
    )
    return pb.SyncRequest(state=state)


def _position_message(fix: Fix) -> pb.Position:
    return pb.Position(
        latitude_deg=fix.latitude_deg,
        longitude_deg=fix.longitude_deg,
        accuracy_m=fix.accuracy_m,
        speed_mps=fix.speed_mps,
        heading_deg=fix.heading_deg,
        time=convert.to_timestamp(datetime.now(UTC)),
    )


def _rung_number(rung: str) -> spectrum_pb2.Rung.ValueType:
    return spectrum_pb2.Rung.Value(f"RUNG_{(rung or 'unspecified').upper()}")


def orders_of(response: pb.SyncResponse, asked_at: datetime, answered_at: datetime) -> Orders:
    """Read an answer to a report that was made and answered at these moments of this machine's clock.

    Raises:
        UnavailableError: It lacks the cell or the band, so it says nothing yet.
        CorruptError: It holds what cannot be: a digest that is none, a band of no width.
    """
    desired = response.desired
    if not (desired.HasField("cell") and desired.HasField("band")):
        raise UnavailableError("the coordinator named neither cell nor band yet: assign this observer to a cell")
    try:
        state = _desired_state(desired)
    except ValidationError as error:
        raise CorruptError(f"the coordinator wants what cannot be: {error}") from error
    return Orders(
        desired=state,
        upload_credit_bytes=response.upload_credit_bytes,
        next_poll_s=convert.to_span(response.next_poll).total_seconds(),
        clock_off_s=_clock_off_s(response, asked_at, answered_at),
    )


def _clock_off_s(response: pb.SyncResponse, asked_at: datetime, answered_at: datetime) -> float:
    """Return how far the coordinator's moment lies outside of the call; 0 where it named none."""
    if not response.HasField("answer_time"):
        return 0.0
    there_at = convert.to_moment(response.answer_time)
    return max((asked_at - there_at).total_seconds(), (there_at - answered_at).total_seconds(), 0.0)


def _desired_state(message: pb.DesiredState) -> DesiredState:
    return DesiredState(
        revision=message.revision,
        cell=message.cell.name,
        band=message.band.name,
        center_hz=message.band.center_hz,
        width_hz=message.band.width_hz,
        place=_place(message.cell),
        **_releases(message, "release", "teacher", "shadow", "global_release"),
        neighbours=tuple(_assignment(neighbour) for neighbour in message.neighbours),
        training_target_s=convert.to_span(message.training_target).total_seconds(),
        capture=_capture(message.capture) if message.HasField("capture") else None,
        upload_budget_bytes=message.upload_budget_bytes,
        self_test=_self_test(message.self_test) if message.HasField("self_test") else None,
    )


def _self_test(message: pb.SelfTestOrder) -> SelfTestOrder:
    return SelfTestOrder(name=message.name, expires_at=convert.to_moment(message.expire_time))


def _capture(message: pb.CaptureOrder) -> CaptureOrder:
    return CaptureOrder(
        order=message.order,
        cell=message.cell,
        duration_s=convert.to_span(message.duration).total_seconds(),
        expires_at=convert.to_moment(message.expire_time),
    )


def _assignment(message: pb.CellAssignment) -> CellAssignment:
    return CellAssignment(
        cell=message.cell.name,
        band=message.band.name,
        center_hz=message.band.center_hz,
        width_hz=message.band.width_hz,
        place=_place(message.cell),
        **_releases(message, "release", "teacher"),
    )


def _place(message: spectrum_pb2.Cell) -> Place | None:
    if not message.HasField("radius_m"):
        return None
    return Place(latitude_deg=message.latitude_deg, longitude_deg=message.longitude_deg, radius_m=message.radius_m)


def _releases(message: pb.DesiredState | pb.CellAssignment, *fields: str) -> dict[str, AssignedRelease]:
    return {field: _release(getattr(message, field)) for field in fields if message.HasField(field)}  # type: ignore[arg-type] # names of fields are literals there


def _release(message: pb.AssignedRelease) -> AssignedRelease:
    manifest = BlobReference(digest=message.manifest.digest, size_bytes=message.manifest.size_bytes)
    return AssignedRelease(serial=message.serial, manifest=manifest)


def segment_request(segment: HeldSegment, observer: str) -> pb.UploadSegmentsRequest:
    """Return a segment as the message that uploads it, its codes compressed where that pays."""
    record = segment.record
    message = spectrum_pb2.Segment(
        observer=observer,
        origin=origin_message(segment.origin),
        cell=record.cell,
        start_time=convert.to_timestamp(record.start_at),
        clock_error=convert.to_duration_message(timedelta(seconds=record.clock_error_s)),
        frame_count=record.frame_count,
        reference_dbm=record.reference_dbm,
        purpose=_PURPOSES[record.purpose],
        context=spectrum_pb2.Context(
            mobility=_MOBILITIES[record.mobility],
            speed_mps=record.speed_mps,
            latitude_deg=record.latitude_deg,
            longitude_deg=record.longitude_deg,
            accuracy_m=record.accuracy_m,
        ),
        quality=spectrum_pb2.ReceptionQuality(
            clipped_share=record.clipped_share, noise_only=record.noise_only, gain_db=record.gain_db
        ),
        scored_by_serial=record.scored_by_serial,
        anomalous_windows=record.anomalous_windows,
        codes_digest=record.codes_digest,
        self_test=record.self_test,
    )
    packed = compress_codes(segment.codes)
    if packed is None:
        return pb.UploadSegmentsRequest(segment=message, codes=segment.codes)
    return pb.UploadSegmentsRequest(segment=message, codes=packed, encoding=spectrum_pb2.CODES_ENCODING_ZSTD)


def anomaly_message(anomaly: HeldAnomaly) -> spectrum_pb2.Anomaly:
    """Return an anomaly as a message."""
    record = anomaly.record
    return spectrum_pb2.Anomaly(
        origin=origin_message(anomaly.origin),
        cell=record.cell,
        window_start_time=convert.to_timestamp(record.window_start_at),
        window_duration=convert.to_duration_message(timedelta(seconds=record.window_frames * FRAME_SECONDS)),
        error_db=record.error_db,
        score=record.score,
        value=record.value,
        threshold=record.threshold,
        false_alarm_rate=record.false_alarm_rate,
        model=record.model,
        serial=record.serial,
        rung=_rung_number(record.rung),
    )


def upload_outcome(response: pb.UploadSegmentsResponse) -> Outcome | None:
    """Read the answer to a segment; None where it settles nothing."""
    if response.outcome in (pb.UPLOAD_OUTCOME_STORED, pb.UPLOAD_OUTCOME_ALREADY_STORED):
        return Outcome(origin_of(response.origin), stored=True)
    if response.outcome == pb.UPLOAD_OUTCOME_REFUSED:
        return Outcome(origin_of(response.origin), stored=False, code=response.code, reason=response.reason)
    return None


def report_outcome(message: statistics_pb2.ReportOutcome) -> Outcome:
    """Read the answer to an anomaly, a report of an event, or statistics."""
    return Outcome(origin_of(message.origin), stored=message.accepted, code=message.code, reason=message.reason)


def origin_message(origin: Origin) -> spectrum_pb2.Origin:
    """Return an origin as a message."""
    return spectrum_pb2.Origin(boot_id=origin.boot_id, sequence=origin.sequence)


def origin_of(message: spectrum_pb2.Origin) -> Origin:
    """Read an origin."""
    return Origin(message.boot_id, message.sequence)
