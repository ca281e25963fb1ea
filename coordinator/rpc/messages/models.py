"""Models and releases as messages."""

from collections import Counter

from bandwatch import names
from bandwatch.wire.content import content_to_message
from bandwatch.wire.v1 import model_pb2
from coordinator.registry import entities
from coordinator.registry.entities import ReleaseState
from coordinator.rpc.messages.plans import plan_message
from coordinator.rpc.messages.words import number_of, time_of
from coordinator.services.releasing.rollout_gates import Answer
from coordinator.services.releasing.rollouts import Standing


def model_message(model: entities.Model) -> model_pb2.Model:
    """Return a model as a message."""
    return model_pb2.Model(
        name=names.models.name(model.id),
        band=names.bands.name(model.band_id),
        cell=names.cells.name(model.cell_id) if model.cell_id else "",
        parent=names.models.name(model.parent_id) if model.parent_id else "",
        run=names.runs.name(model.run_id) if model.run_id else "",
        content=content_to_message(model.trained_content),
        create_time=time_of(model.created_at),
    )


def manifest_reference(release: entities.Release) -> model_pb2.BlobReference:
    """Return where the manifest of a release lies."""
    return model_pb2.BlobReference(digest=release.manifest_digest, size_bytes=release.manifest_bytes)


def release_message(release: entities.Release) -> model_pb2.Release:
    """Return a release as a message."""
    return model_pb2.Release(
        name=names.releases.name(str(release.serial)),
        model=names.models.name(release.model_id),
        serial=release.serial,
        band=names.bands.name(release.band_id) if release.band_id else "",
        cell=names.cells.name(release.cell_id) if release.cell_id else "",
        state=number_of(ReleaseState(release.state), model_pb2.ReleaseState),
        manifest=manifest_reference(release),
        create_time=time_of(release.created_at),
        plan=plan_message(release.plan),
        state_time=time_of(release.state_at),
        reason=release.reason,
    )


def figures_message(standing: Standing) -> model_pb2.RolloutFigures:
    """Return how a release does among the observers that try it as a message."""
    answers = Counter(judgement.answer for judgement in standing.judgements)
    evidence = standing.observed.evidence
    return model_pb2.RolloutFigures(
        offered=sum(one.heard for one in evidence),
        running=sum(one.running for one in evidence),
        failed=answers[Answer.FAILED],
        silent=answers[Answer.SILENT],
        windows=standing.observed.windows,
        anomalous_windows=standing.observed.flagged,
        error_db=standing.observed.error_db,
        active_error_db=standing.observed.active_error_db,
        failure_lower=standing.verdict.lower,
        failure_upper=standing.verdict.upper,
    )
