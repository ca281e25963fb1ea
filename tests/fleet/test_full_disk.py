"""Item 5: the coordinator's disk is full: nothing is acknowledged in vain, and all goes on once there is room."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_FAILED, TRAINING_RUN_STATE_SUCCEEDED
from observer_agent.agent.status import read_status
from operator_console.coordinator_client import AdminClient
from tests.fault_table import RecordProperty
from tests.fleet.conftest import ItemResult
from tests.fleet.fleets import SHORT_TIMES
from tests.integration.platforms import agent, register, running, until
from tests.small_disks import SmallDisk, small_disk

SEGMENT_BYTES: Final = 128 * 15_625
RADIO: Final = timedelta(seconds=48)
"""Twelve segments."""
MADE: Final = 12


@pytest.mark.fault(
    "the coordinator's disk full while an agent delivers",
    "nothing is acknowledged in vain; what does not fit stays with the agent",
)
@pytest.mark.fault(
    "the coordinator's disk full while a worker stores a model",
    "the run ends well once there is room",
)
@pytest.mark.fleet
def test_a_full_disk_of_the_coordinator_acknowledges_nothing_in_vain_and_ends_no_run(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult, record_property: RecordProperty
) -> None:
    for name, value in SHORT_TIMES.items():
        monkeypatch.setenv(name, value)
    with (
        small_disk(open_folder / "platform" / "blobs") as disk,
        running(open_folder) as stack,
        AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
    ):
        token = register(client, RADIO)
        disk.leave(5 * SEGMENT_BYTES + SEGMENT_BYTES // 2)
        with agent(open_folder, stack, token, seconds=RADIO.total_seconds()) as listening:
            _until_logged(open_folder / "agent.log", "takes no blob at present (No space left on device)")
            made_s = RADIO.total_seconds() - 0.1
            until(lambda: read_status(open_folder / "roof").training_s > made_s, "all of the radio made")
            status = read_status(open_folder / "roof")
            stored = _assert_whole(client, disk.folder)
            assert MADE - status.spool_segments <= stored < MADE, "what the agent holds no longer is stored"
            assert (status.spool_evicted, status.spool_refused, status.spool_damaged) == (0, 0, 0)
            disk.make_room()
            until(lambda: client.segment_totals().segments >= MADE, "all of the radio stored")
            assert listening.poll() is None
        _order_on_a_full_disk(client, disk, stack.data_dir / "worker" / "worker-1")
        assert _assert_whole(client, disk.folder) == MADE
    record_property("segments", MADE)
    item_result(
        5,
        tried="the coordinator's disk full while an agent delivered, and while a worker stored a model: "
        f"{stored} of {MADE} segments were stored, the others kept until there was room",
        how_often=2,
        lost="no run, no segment, none acknowledged in vain",
    )


def _order_on_a_full_disk(client: AdminClient, disk: SmallDisk, worker: Path) -> None:
    """Order a teacher whose parts find no room at first."""
    disk.leave(0)
    run = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=100, seed=1)
    run_folder = worker / "runs" / run.name.removeprefix("runs/")
    until(lambda: any("store" in log.read_text() for log in run_folder.glob("attempt-*.log")), "the model refused")
    assert client.get_run(run.name).state != TRAINING_RUN_STATE_FAILED
    disk.make_room()
    until(lambda: client.get_run(run.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the model stored")


def _until_logged(log: Path, words: str) -> None:
    until(lambda: words in log.read_text(), f"{words!r} in {log.name}")


def _assert_whole(client: AdminClient, folder: Path) -> int:
    """See that every stored segment has its codes, and return how many there are."""
    blobs = BlobStore(folder / "segments")
    segments = list(client.list_segments())
    assert all(len(blobs.read(segment.codes_digest)) == 128 * segment.frame_count for segment in segments)
    return len(segments)
