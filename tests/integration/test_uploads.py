"""Segments on their way into the registry."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.identity.identity_files import Identity
from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, spectrum_pb2
from bandwatch.wire.v1.observer_service_pb2 import (
    UPLOAD_OUTCOME_ALREADY_STORED,
    UPLOAD_OUTCOME_REFUSED,
    UPLOAD_OUTCOME_STORED,
    UploadSegmentsRequest,
    UploadSegmentsResponse,
)
from tests.integration.conftest import Coordinator, Network, StartCoordinator
from tests.integration.honest_segments import upload


async def _send(
    coordinator: Coordinator, identity: Identity, *requests: UploadSegmentsRequest
) -> list[UploadSegmentsResponse]:
    async with coordinator.observer(identity) as service:
        return [response async for response in service.UploadSegments(iter(requests), timeout=30)]


async def _stored(coordinator: Coordinator) -> list[str]:
    async with coordinator.admin() as admin:
        page = await admin.ListSegments(admin_service_pb2.ListSegmentsRequest(page_size=1000))
    return [segment.name for segment in page.segments]


async def test_an_acknowledged_segment_has_its_row_and_its_blob(coordinator: Coordinator, network: Network) -> None:
    request = upload(1)
    [answer] = await _send(coordinator, network.tokens["roof"], request)
    assert answer.outcome == UPLOAD_OUTCOME_STORED
    assert await _stored(coordinator) == [f"segments/roof.{request.segment.origin.boot_id}.1"]
    store = BlobStore(coordinator.settings.blob_dir / "segments")
    assert store.read(request.segment.codes_digest) == request.codes


@pytest.mark.fault(
    "an answer that got lost, so that a segment comes again",
    "it is acknowledged again and stored once",
)
async def test_a_repeated_segment_is_acknowledged_again_and_stored_once(
    coordinator: Coordinator, network: Network
) -> None:
    answers = await _send(coordinator, network.tokens["roof"], upload(1), upload(2), upload(1))
    again = await _send(coordinator, network.tokens["roof"], upload(2))
    assert [answer.outcome for answer in answers] == [
        UPLOAD_OUTCOME_STORED,
        UPLOAD_OUTCOME_STORED,
        UPLOAD_OUTCOME_ALREADY_STORED,
    ]
    assert again[0].outcome == UPLOAD_OUTCOME_ALREADY_STORED
    assert len(await _stored(coordinator)) == 2


def _five_megabytes() -> UploadSegmentsRequest:
    request = upload(2)
    return UploadSegmentsRequest(segment=request.segment, codes=bytes(5_000_000))


REFUSED: dict[str, tuple[Callable[[], UploadSegmentsRequest], str]] = {
    "wrong length": (lambda: UploadSegmentsRequest(segment=upload(2).segment, codes=b"short"), "send whole frames"),
    "time in the future": (
        lambda: upload(2, start_time=to_timestamp(datetime.now(UTC) + timedelta(hours=1))),
        "set the observer's clock",
    ),
    "unknown cell": (lambda: upload(2, cell="cells/nowhere"), "ask the operator to create it"),
    "5 MB of data": (_five_megabytes, "at most 4 s in one segment"),
    "another observer's name": (lambda: upload(2, observer="observers/van"), "that observer's own token"),
    "more frames than a segment holds": (lambda: upload(2, frames=15_626), "less than or equal to 15625"),
    "no number": (lambda: upload(2, origin=None), "origin"),
    "no segment at all": (UploadSegmentsRequest, "segment: value is required"),
    "codes that changed on the way": (lambda: upload(2, codes_digest="0" * 64), "send them again"),
    "a name that is none": (lambda: upload(2, cell="oak"), "does not match"),
    "a clock off by ages": (lambda: upload(2, clock_error={"seconds": 10**11}), "clock_error"),
    "a time beyond the calendar": (lambda: upload(2, start_time={"seconds": 10**13}), "start_time"),
}


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_bad_segment_is_refused_alone_with_advice_and_the_rest_goes_on(
    coordinator: Coordinator, network: Network, fault: str
) -> None:
    make_bad, advice = REFUSED[fault]
    before, bad, after = await _send(coordinator, network.tokens["roof"], upload(1), make_bad(), upload(3))
    assert bad.outcome == UPLOAD_OUTCOME_REFUSED
    assert advice in bad.reason
    assert (before.outcome, after.outcome) == (UPLOAD_OUTCOME_STORED, UPLOAD_OUTCOME_STORED)
    assert len(await _stored(coordinator)) == 2


@pytest.mark.fault(
    "two agents that use one identity and number",
    "the second codes are refused; the first stay",
)
async def test_a_number_that_was_used_for_other_codes_is_refused(coordinator: Coordinator, network: Network) -> None:
    first, second = (
        upload(7),
        upload(8, origin=spectrum_pb2.Origin(boot_id=upload(7).segment.origin.boot_id, sequence=7)),
    )
    answers = await _send(coordinator, network.tokens["roof"], first, second)
    assert [answer.outcome for answer in answers] == [UPLOAD_OUTCOME_STORED, UPLOAD_OUTCOME_REFUSED]
    assert answers[1].code == "already_exists"


@pytest.mark.fault(
    "a message beyond every limit",
    "its stream breaks, no other",
)
async def test_a_message_beyond_every_limit_breaks_its_stream_and_no_other(
    coordinator: Coordinator, network: Network
) -> None:
    request = UploadSegmentsRequest(segment=upload(1).segment, codes=bytes(9 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _send(coordinator, network.tokens["roof"], request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    [answer] = await _send(coordinator, network.tokens["roof"], upload(1))
    assert answer.outcome == UPLOAD_OUTCOME_STORED


async def test_what_was_acknowledged_is_there_after_a_restart(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    await _send(coordinator, network.tokens["roof"], *(upload(number) for number in range(1, 21)))
    async with start_coordinator() as restarted:
        assert len(await _stored(restarted)) == 20


async def test_a_coordinator_that_stops_ends_streams_on_which_nothing_is_under_way(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    async with AsyncExitStack() as channels:
        async with start_coordinator() as stopping:
            service = await channels.enter_async_context(stopping.observer(network.tokens["roof"]))
            call = service.UploadSegments()
            await call.write(upload(1))
            answer = await call.read()
        assert await call.code() is grpc.StatusCode.OK
    assert isinstance(answer, UploadSegmentsResponse)
    assert answer.outcome == UPLOAD_OUTCOME_STORED
    assert len(await _stored(coordinator)) == 1


async def test_anomalies_are_accepted_one_by_one(coordinator: Coordinator, network: Network) -> None:
    def anomaly(sequence: int, **changes: object) -> spectrum_pb2.Anomaly:
        fields: dict[str, object] = {
            "origin": spectrum_pb2.Origin(boot_id="a" * 32, sequence=sequence),
            "cell": "cells/oak",
            "window_start_time": to_timestamp(datetime.now(UTC)),
            "window_duration": {"nanos": 32_000_000},
            "error_db": 4.0,
            "score": "combined",
            "value": -0.5,
            "threshold": -1.25,
            "false_alarm_rate": 0.01,
            "model": "models/m-1",
            "serial": 3,
            **changes,
        }
        return spectrum_pb2.Anomaly(**fields)  # type: ignore[arg-type] # fields of many types

    bad = [anomaly(2, error_db=float("nan")), anomaly(5, score="loudness"), anomaly(6, value=float("inf"))]
    sent = [anomaly(1), *bad, anomaly(3, cell="cells/nowhere"), anomaly(1), anomaly(4)]
    async with coordinator.observer(network.tokens["roof"]) as service:
        answer = await service.ReportAnomalies(observer_service_pb2.ReportAnomaliesRequest(anomalies=sent))
    async with coordinator.admin() as admin:
        listed = await admin.ListAnomalies(admin_service_pb2.ListAnomaliesRequest(cell="cells/oak"))
    assert [outcome.accepted for outcome in answer.outcomes] == [True, False, False, False, False, True, True]
    assert listed.total_size == 2
    assert {entry.observer for entry in listed.anomalies} == {"observers/roof"}
    assert {(a.score, a.value, a.threshold, a.error_db) for a in listed.anomalies} == {("combined", -0.5, -1.25, 4.0)}


@pytest.mark.fault(
    "an observer that opens more and more streams",
    "it is refused more; others are served",
)
async def test_an_observer_may_hold_only_so_many_streams_and_others_are_served(
    coordinator: Coordinator, network: Network
) -> None:
    async with coordinator.observer(network.tokens["roof"]) as service:
        watches = [service.Watch(observer_service_pb2.WatchRequest()) for _ in range(5)]
        answers = await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        assert [error.code() for error in refused] == [grpc.StatusCode.UNAVAILABLE]
        async with coordinator.observer(network.tokens["van"]) as other:
            first = await anext(aiter(other.Watch(observer_service_pb2.WatchRequest())))
            assert first.revision == 1
