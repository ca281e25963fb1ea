"""How each kind of resource is shown to people."""

from typing import Final

from bandwatch.wire.v1.admin_service_pb2 import Observer
from bandwatch.wire.v1.model_pb2 import (
    Candidate,
    ErrorStatistics,
    Model,
    Release,
    ReleaseState,
    ScoreTable,
    TrainingRun,
    TrainingRunState,
)
from bandwatch.wire.v1.spectrum_pb2 import Anomaly, Band, Cell, LinkDirection, Mobility, Purpose, Rung, Segment, Trust
from operator_console.cli.output import View
from operator_console.cli.texts import decibels, duration, megahertz, moment, word


def _serial(serial: int) -> str:
    return str(serial) if serial else "none"


def _statistics(error: ErrorStatistics) -> str:
    return f"{decibels(error.mean_db)} (deviation {error.deviation_db:.2f}) over {error.windows} windows"


def _thresholds(table: ScoreTable) -> str:
    rows = sorted(table.thresholds, key=lambda row: row.false_alarm_rate)
    return f"{table.score}: " + ", ".join(f"{row.bound:.2f} at {row.false_alarm_rate:g}" for row in rows)


def _candidate(candidate: Candidate) -> str:
    text = f"{candidate.family}: {decibels(candidate.error.mean_db)}"
    if candidate.teacher:
        text += f" from {candidate.teacher}"
    if candidate.HasField("unadapted_error"):
        text += f", unadapted {decibels(candidate.unadapted_error.mean_db)}"
    return text


def _product(run: TrainingRun) -> str:
    if run.WhichOneof("spec") == "teacher":
        return f"teacher for {run.teacher.band}"
    teachers = run.student.teachers
    origin = (
        f" of one of {len(teachers)} teachers" if len(teachers) > 1 else "".join(f" of {name}" for name in teachers)
    )
    return f"student{origin} for {run.student.cell}"


def _families(run: TrainingRun) -> str:
    if run.WhichOneof("spec") == "teacher":
        layers = f", {run.teacher.layers} layers" if run.teacher.layers else ""
        return (run.teacher.family or "lstm-predictor") + layers
    return ", ".join(run.student.families) or "all"


def _stage(run: TrainingRun) -> str:
    if not run.HasField("progress"):
        return ""
    parts = [run.progress.stage, f"{run.progress.share:.0%}"]
    if run.progress.HasField("validation_error_db"):
        parts.append(decibels(run.progress.validation_error_db))
    return ", ".join(part for part in parts if part)


def progress_line(run: TrainingRun) -> str:
    """Return where a training run is, such as "running: epoch 3 of 20, 15%, 2.71 dB"."""
    return ": ".join(part for part in (word(TrainingRunState, run.state), _stage(run)) if part)


BAND: Final = View[Band](
    columns={
        "name": lambda band: band.name,
        "title": lambda band: band.title,
        "centre": lambda band: megahertz(band.center_hz),
        "width": lambda band: megahertz(band.width_hz),
        "direction": lambda band: word(LinkDirection, band.direction),
    },
    details={"created": lambda band: moment(band.create_time)},
)


def place(cell: Cell) -> str:
    """Return where a cell serves, such as 52.52000, 13.40500, 800 m."""
    if not cell.HasField("radius_m"):
        return ""
    return f"{cell.latitude_deg:.5f}, {cell.longitude_deg:.5f}, {cell.radius_m:g} m"


CELL: Final = View[Cell](
    columns={
        "name": lambda cell: cell.name,
        "title": lambda cell: cell.title,
        "band": lambda cell: cell.band,
        "place": place,
        "created": lambda cell: moment(cell.create_time),
    },
    details={},
)

OBSERVER: Final = View[Observer](
    columns={
        "name": lambda observer: observer.name,
        "title": lambda observer: observer.title,
        "cell": lambda observer: observer.cell,
        "mobility": lambda observer: word(Mobility, observer.mobility),
        "last sync": lambda observer: moment(observer.last_sync_time) or "never",
        "should run": lambda observer: _serial(observer.desired_serial),
        "runs": lambda observer: _serial(observer.reported.running_serial),
        "anomalies": lambda observer: str(observer.reported.anomalies_found),
    },
    details={
        "is in": lambda observer: observer.reported.cell,
        "trust": lambda observer: word(Trust, observer.trust),
        "sent today": lambda observer: (
            f"{observer.reported.uploaded_today_bytes / 1e6:.1f} of "
            f"{observer.reported.upload_budget_bytes / 1e6:.0f} MB"
        ),
        "running model": lambda observer: observer.reported.running_model,
        "rung": lambda observer: word(Rung, observer.reported.running_rung),
        "refused": lambda observer: "\n".join(
            f"serial {refused.serial}: {refused.reason}" for refused in observer.reported.refused
        ),
        "windows scored": lambda observer: str(observer.reported.windows_scored),
        "waiting to upload": lambda observer: (
            f"{observer.reported.spooled_segments} segments, {observer.reported.spooled_bytes} bytes"
        ),
        "training target": lambda observer: duration(observer.training_target),
        "agent": lambda observer: observer.reported.agent_version,
        "revision": lambda observer: f"{observer.revision}, applied {observer.reported.applied_revision}",
        "created": lambda observer: moment(observer.create_time),
    },
)

SEGMENT: Final = View[Segment](
    columns={
        "observer": lambda segment: segment.observer,
        "sequence": lambda segment: str(segment.origin.sequence),
        "cell": lambda segment: segment.cell,
        "purpose": lambda segment: word(Purpose, segment.purpose),
        "start": lambda segment: moment(segment.start_time),
        "frames": lambda segment: str(segment.frame_count),
        "clipped": lambda segment: f"{segment.quality.clipped_share:.1%}",
        "lost": lambda segment: str(segment.quality.lost_samples),
        "anomalous": lambda segment: str(segment.anomalous_windows),
    },
    details={},
)

MODEL: Final = View[Model](
    columns={
        "name": lambda model: model.name,
        "band": lambda model: model.band,
        "cell": lambda model: model.cell or "all (teacher)",
        "family": lambda model: model.content.family,
        "frozen": lambda model: str(model.content.frozen_layers),
        "error": lambda model: decibels(model.content.error.mean_db),
        "created": lambda model: moment(model.create_time),
    },
    details={
        "parent": lambda model: model.parent,
        "run": lambda model: model.run,
        "error on held-out windows": lambda model: _statistics(model.content.error),
        "error of its parent there": lambda model: (
            _statistics(model.content.parent_error) if model.content.HasField("parent_error") else ""
        ),
        "default score": lambda model: model.content.default_score,
        "thresholds (bound)": lambda model: "\n".join(_thresholds(table) for table in model.content.scores),
        "candidates": lambda model: "\n".join(_candidate(candidate) for candidate in model.content.candidates),
        "choice": lambda model: model.content.choice,
        "tensors": lambda model: (
            f"{len(model.content.tensors)}, {sum(tensor.blob.size_bytes for tensor in model.content.tensors)} bytes"
        ),
    },
)


def _plan(release: Release) -> str:
    plan = release.plan
    if plan.at_once:
        return "at once"
    shadow = "shadow, then " if plan.shadow else ""
    return (
        f"{shadow}{plan.canary_share:.0%} of the observers; {plan.minimum_windows} windows and "
        f"{duration(plan.minimum_time)} at least, {duration(plan.deadline)} at most; "
        f"failures {plan.failure_limit:.1%}, error {plan.error_margin_db:+g} dB, flagged {plan.false_alarm_limit:.1%}"
    )


def _observers(release: Release) -> str:
    figures = release.figures
    if not release.HasField("figures"):
        return ""
    return (
        f"{figures.offered} were offered it, {figures.running} run it, {figures.failed} failed, {figures.silent} "
        "are silent"
    )


def _windows(release: Release) -> str:
    figures = release.figures
    return f"{figures.windows}, {figures.anomalous_windows} flagged" if figures.windows else ""


def _errors(release: Release) -> str:
    figures = release.figures
    return f"{decibels(figures.error_db)}, active {decibels(figures.active_error_db)}" if figures.windows else ""


def _failing(release: Release) -> str:
    figures = release.figures
    if not release.HasField("figures"):
        return ""
    return f"{figures.failure_lower:.1%} to {figures.failure_upper:.1%} (95 % bounds)"


RELEASE: Final = View[Release](
    columns={
        "name": lambda release: release.name,
        "serial": lambda release: _serial(release.serial),
        "model": lambda release: release.model,
        "band": lambda release: release.band,
        "cell": lambda release: release.cell or "all without a student",
        "state": lambda release: word(ReleaseState, release.state).replace("_", " "),
        "since": lambda release: moment(release.state_time),
        "reason": lambda release: release.reason,
    },
    details={
        "plan": _plan,
        "observers": _observers,
        "windows": _windows,
        "error": _errors,
        "share that fails": _failing,
        "created": lambda release: moment(release.create_time),
        "manifest": lambda release: release.manifest.digest,
    },
)

RUN: Final = View[TrainingRun](
    columns={
        "name": lambda run: run.name,
        "makes": _product,
        "state": lambda run: word(TrainingRunState, run.state),
        "stage": _stage,
        "attempts": lambda run: str(run.attempts),
        "model": lambda run: run.model,
        "created": lambda run: moment(run.create_time),
    },
    details={
        "teachers": lambda run: "\n".join(run.student.teachers),
        "families": _families,
        "segments": lambda run: str(run.segment_count),
        "started": lambda run: moment(run.start_time),
        "ended": lambda run: moment(run.end_time),
        "release on success": lambda run: "yes" if run.release_on_success else "no",
        "seed": lambda run: str(run.seed),
        "last error": lambda run: run.last_error,
        "remark": lambda run: run.remark,
    },
)

ANOMALY: Final = View[Anomaly](
    columns={
        "window": lambda anomaly: moment(anomaly.window_start_time),
        "cell": lambda anomaly: anomaly.cell,
        "observer": lambda anomaly: anomaly.observer,
        "score": lambda anomaly: anomaly.score,
        "value": lambda anomaly: f"{anomaly.value:.2f}",
        "threshold": lambda anomaly: f"{anomaly.threshold:.2f} at {anomaly.false_alarm_rate:g}",
        "error": lambda anomaly: decibels(anomaly.error_db),
        "model": lambda anomaly: anomaly.model,
        "serial": lambda anomaly: _serial(anomaly.serial),
    },
    details={},
)
