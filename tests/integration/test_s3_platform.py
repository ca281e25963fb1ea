"""The whole platform with its blobs in a bucket: workers and agents share nothing with the coordinator but gRPC."""

from datetime import timedelta
from pathlib import Path

import pytest

from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, RolloutPlan
from observer_agent.agent.status import read_status
from operator_console.coordinator_client import AdminClient
from tests.integration.platforms import agent, register, running, until
from tests.integration.s3_servers import KEY_ID, SECRET, S3Server, rclone


def keep_blobs_in(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = server.place("platform")
    settings = {
        "BLOB_URL": f"s3://{place.bucket}/{place.prefix}",
        "S3_ENDPOINT": place.endpoint,
        "S3_REGION": place.region,
        "S3_ACCESS_KEY_ID": KEY_ID,
        "S3_SECRET_ACCESS_KEY": SECRET,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"BANDWATCH_COORDINATOR_{name}", str(value))


@pytest.mark.slow
def test_a_model_goes_from_radio_to_an_agent_through_a_bucket_and_no_shared_folder(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rclone(open_folder / "rclone.log", open_folder / "buckets") as server:
        keep_blobs_in(server, monkeypatch)
        with (
            running(open_folder) as stack,
            AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
        ):
            token = register(client, timedelta(seconds=8))
            with agent(open_folder, stack, token, seconds=8):
                until(lambda: client.segment_totals().span.total_seconds() > 7.5, "radio stored")
            run = client.create_teacher_run(
                "bands/north",
                family="linear",
                max_epochs=1,
                stride_frames=50,
                release_on_success=True,
                plan=RolloutPlan(at_once=True),
            )
            until(lambda: client.get_run(run.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the teacher")
            model = client.get_run(run.name).model
            with agent(open_folder, stack, token, seconds=None, PACE="real"):
                until(lambda: client.get_observer("observers/roof").reported.running_model == model, "the model run")
            assert [path for path in (stack.data_dir / "blobs").rglob("*") if path.is_file()] == []
        bucket = {path.parts[len(open_folder.parts) + 2 :][:2] for path in (open_folder / "buckets").rglob("??/*")}
        assert bucket == {("platform", "segments"), ("platform", "models")}
        assert not any(SECRET in log.read_text() for log in (stack.data_dir / "logs").glob("*.log"))


@pytest.mark.fault(
    "the bucket of blobs away",
    "segments stay with the agents until it is back",
)
@pytest.mark.slow
def test_segments_stay_with_the_agent_while_the_bucket_is_away(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, buckets = open_folder / "rclone.log", open_folder / "buckets"
    with rclone(log, buckets) as server:
        keep_blobs_in(server, monkeypatch)
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=12))
        with agent(open_folder, stack, token, seconds=12):
            said = "s3://bandwatch/platform/segments at http"
            until(lambda: said in (open_folder / "agent.log").read_text(), "the bucket missed")
            until(lambda: read_status(open_folder / "roof").spool_segments == 3, "all of the radio kept")
            assert client.segment_totals().segments == 0
            with rclone(log, buckets, port=server.port):
                until(lambda: client.segment_totals().segments == 3, "all of the radio stored")
