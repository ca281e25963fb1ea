"""The parts that a coordinator and its schedule are made of, as the settings say."""

from datetime import timedelta

from bandwatch.artifacts.blobs import Blobs, BlobStore
from bandwatch.artifacts.release_metadata import Lives
from bandwatch.artifacts.s3_blobs import S3Blobs, S3Place
from bandwatch.artifacts.signing import OnlineKeyFiles
from coordinator.registry.session import Registry
from coordinator.services.detection.merges import MergeRules
from coordinator.services.detection.postings import Postman
from coordinator.services.detection.webhooks import RetryRules
from coordinator.services.releasing import rollouts
from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.releasing.rollout_evidence import Looks
from coordinator.services.training.gate import DataRules
from coordinator.settings import CoordinatorSettings


def data_rules(settings: CoordinatorSettings) -> DataRules:
    """Return which segments may train."""
    return DataRules(
        clipped_share_limit=settings.clipped_share_limit,
        anomalous_share_limit=settings.anomalous_share_limit,
        clock_error_limit=timedelta(seconds=settings.clock_error_limit_s),
        teacher_data=timedelta(seconds=settings.teacher_data_s),
        student_data=timedelta(seconds=settings.student_data_s),
    )


def rollout_rules(settings: CoordinatorSettings) -> rollouts.Rules:
    """Return how releases come into force unless their own plan says otherwise."""
    usual = RolloutPlan(
        shadow=settings.rollout_shadow,
        few_in_shadow=settings.rollout_few_in_shadow,
        canary_share=settings.rollout_canary_share,
        minimum_windows=settings.rollout_minimum_windows,
        minimum_time_s=settings.rollout_minimum_time_s,
        deadline_s=settings.rollout_deadline_s,
        failure_limit=settings.rollout_failure_limit,
        error_margin_db=settings.rollout_error_margin_db,
        false_alarm_limit=settings.rollout_false_alarm_limit,
    )
    grace, past = timedelta(seconds=settings.rollout_grace_s), timedelta(seconds=settings.rollout_past_s)
    return rollouts.Rules(usual, Looks(grace, past))


def merge_rules(settings: CoordinatorSettings) -> MergeRules:
    """Return when events belong to one incident, and when they are over."""
    return MergeRules(
        gap=timedelta(seconds=settings.incident_gap_s),
        quiet=timedelta(seconds=settings.incident_quiet_s),
        silence=timedelta(seconds=settings.event_silence_s),
        hold=timedelta(seconds=settings.incident_hold_s),
    )


def make_postman(registry: Registry, settings: CoordinatorSettings) -> Postman:
    """Return what sends messages to webhooks."""
    rules = RetryRules(
        settings.webhook_attempts,
        base=timedelta(seconds=settings.webhook_retry_base_s),
        cap=timedelta(seconds=settings.webhook_retry_cap_s),
    )
    return Postman(registry, rules, timeout=timedelta(seconds=settings.webhook_timeout_s))


def make_publisher(settings: CoordinatorSettings) -> Publisher:
    """Return what signs releases."""
    return Publisher(
        open_blobs(settings, "models"),
        OnlineKeyFiles(settings.signing_key_file, settings.timestamp_key_file),
        settings.release_root_file,
        Lives(timedelta(seconds=settings.timestamp_life_s)),
    )


def open_blobs(settings: CoordinatorSettings, kind: str) -> Blobs:
    """Open the store of one kind of blobs: a folder, or a bucket where one is named."""
    if settings.blob_url is None:
        return BlobStore(settings.blob_dir / kind)
    bucket, _, prefix = settings.blob_url.removeprefix("s3://").partition("/")
    secret = settings.s3_secret_access_key
    place = S3Place(
        bucket,
        f"{prefix}/{kind}".lstrip("/"),
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
    )
    return S3Blobs(place)
