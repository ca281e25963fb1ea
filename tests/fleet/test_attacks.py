"""Attacks on who may call what: each is refused, leaves its trace in the audit log, and harms nobody else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from bandwatch.errors import BandwatchError, UnauthenticatedError, UnavailableError
from bandwatch.identity.authority import Authority
from bandwatch.identity.identity_files import Identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.identity.keyring import Keyring
from bandwatch.wire.channel import member_credentials, newcomer_credentials, open_channel
from bandwatch.wire.v1 import admin_service_pb2, identity_pb2, spectrum_pb2
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1 import training_service_pb2 as training
from bandwatch.wire.v1.authority_pb2 import ROLE_OBSERVER, ROLE_OPERATOR, ROLE_WORKER, Role
from bandwatch.wire.v1.model_pb2 import BlobReference
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceStub
from coordinator.registry.session import Registry
from coordinator.rpc.refusal_log import ENTRIES_PER_SECOND
from coordinator.services.identity import certificates
from tests.fleet.conftest import ItemResult
from tests.integration.conftest import Coordinator, Network, StartCoordinator
from tests.integration.honest_segments import upload
from tests.unit.trusted_server import member

pytestmark = pytest.mark.fleet

SOON_S = 5.0
"""Two seconds were promised; the rest is for a busy machine."""
RACERS = 8
RACES = 25

RawCall = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


async def refusals(coordinator: Coordinator, code: str, action: str) -> list[identity_pb2.AuditEntry]:
    async with coordinator.admin() as admin:
        request = identity_pb2.ListAuditEntriesRequest(refusals_only=True, page_size=1000)
        entries = (await admin.ListAuditEntries(request)).entries
    return [entry for entry in entries if (entry.refusal, entry.action) == (code, action)]


async def status_of(call: Awaitable[object]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def sync(address: str, credentials: grpc.ChannelCredentials) -> grpc.StatusCode:
    state = pb.ReportedState(agent_version="0.2.0")
    async with open_channel(address, credentials) as channel:
        return await status_of(ObserverServiceStub(channel).Sync(pb.SyncRequest(state=state), timeout=10))


async def revoke(coordinator: Coordinator, name: str) -> None:
    """Revoke as another coordinator on the same database would: this process hears nothing of it."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        assert await certificates.revoke(session, name) > 0
    await registry.close()


async def invite(coordinator: Coordinator, role: Role.ValueType, name: str = "", cell: str = "") -> str:
    async with coordinator.admin() as admin:
        wanted = identity_pb2.JoinToken(role=role, member=name, cell=cell)
        return (await admin.CreateJoinToken(identity_pb2.CreateJoinTokenRequest(join_token=wanted))).token


@pytest.mark.fault(
    "a caller without a certificate, or with one of a foreign authority",
    "it gets nowhere",
)
async def test_who_has_no_certificate_or_one_of_a_foreign_authority_gets_nowhere(
    coordinator: Coordinator, network: Network, item_result: ItemResult
) -> None:
    roof = network.tokens["roof"]
    assert await sync(coordinator.member_address, member_credentials(roof)) is grpc.StatusCode.OK
    bare = newcomer_credentials(coordinator.authorities)
    assert await sync(coordinator.member_address, bare) is grpc.StatusCode.UNAVAILABLE
    assert await sync(coordinator.address, bare) is grpc.StatusCode.UNAUTHENTICATED
    foreign = member("observers/roof", keyring=Keyring(Authority.make()))
    forged = member_credentials(replace(foreign, authorities=coordinator.authorities))
    assert await sync(coordinator.member_address, forged) is grpc.StatusCode.UNAVAILABLE
    # The authority's key alone is not enough either: what the registry does not know is nobody's.
    unknown = member_credentials(member("observers/roof", keyring=coordinator_keyring(coordinator)))
    assert await sync(coordinator.member_address, unknown) is grpc.StatusCode.UNAUTHENTICATED
    noted = await refusals(coordinator, "unauthenticated", "Sync")
    assert len(noted) == 2
    assert all(entry.actor == "nobody" and entry.peer for entry in noted)
    item_result(1, tried="no certificate, a foreign authority's, one never issued", how_often=4, lost="nothing")


def coordinator_keyring(coordinator: Coordinator) -> Keyring:
    return Keyring(Authority.from_pem((coordinator.settings.keys_dir / "ca.key").read_bytes()))


class Silence:
    """Requests of a stream that sends nothing more until it is told to end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def then_nothing(self, *first: object) -> AsyncIterator[object]:
        """Yield what comes first, then wait."""
        for request in first:
            yield request
        await self.over.wait()


@asynccontextmanager
async def open_streams(
    coordinator: Coordinator, roof: Identity
) -> AsyncIterator[list[Callable[[], Awaitable[object]]]]:
    """Hold a watch and an upload open, and give what reads their next messages."""
    silence = Silence()
    async with coordinator.observer(roof) as service:
        watch = service.Watch(pb.WatchRequest())
        await watch.read()
        upload_call = service.UploadSegments(silence.then_nothing(upload(1)))  # type: ignore[arg-type] # of requests
        await upload_call.read()
        yield [watch.read, upload_call.read]
        silence.over.set()


async def ended_within(reads: list[Callable[[], Awaitable[object]]]) -> tuple[list[grpc.StatusCode], float]:
    began_s = time.monotonic()
    async with asyncio.timeout(SOON_S):
        codes = await asyncio.gather(*(status_of(read()) for read in reads))
    return codes, time.monotonic() - began_s


@pytest.mark.fault(
    "an observer revoked while it is connected",
    "its open streams end within seconds",
)
async def test_a_revoked_observer_loses_its_open_streams_within_seconds_whoever_revoked_it(
    coordinator: Coordinator, network: Network, item_result: ItemResult
) -> None:
    roof, van = network.tokens["roof"], network.tokens["van"]
    async with open_streams(coordinator, roof) as reads, coordinator.observer(van) as other:
        watch = other.Watch(pb.WatchRequest())
        await watch.read()
        await revoke(coordinator, "observers/roof")
        codes, seconds = await ended_within(reads)
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2
        assert not watch.done(), "others stay connected"
        assert await sync(coordinator.member_address, member_credentials(roof)) is grpc.StatusCode.UNAUTHENTICATED
    for action in ("Watch", "UploadSegments", "Sync"):
        assert [e.actor for e in await refusals(coordinator, "unauthenticated", action)] == ["observers/roof"], action
    item_result(1, tried=f"revoked with open streams, which ended in {seconds:.1f} s", how_often=2, lost="nothing")


@pytest.mark.fault(
    "a worker revoked during an upload, an operator deleted",
    "their calls end, and no new one is served",
)
async def test_a_revoked_worker_loses_its_upload_and_a_deleted_operator_its_token(
    coordinator: Coordinator, item_result: ItemResult
) -> None:
    worker, silence = await coordinator.worker(), Silence()
    async with (
        open_channel(coordinator.member_address, member_credentials(worker)) as channel,
        coordinator.admin() as boss,
    ):
        part = training.WriteBlobRequest(reference=BlobReference(digest="0" * 64, size_bytes=5))
        call = TrainingServiceStub(channel).WriteBlob(silence.then_nothing(part))  # type: ignore[arg-type] # of requests
        await call.wait_for_connection()
        await boss.RevokeWorker(identity_pb2.RevokeWorkerRequest(name="workers/w1"))
        codes, _ = await ended_within([lambda: call])
        assert codes == [grpc.StatusCode.UNAUTHENTICATED]
        made = await boss.CreateOperator(
            identity_pb2.CreateOperatorRequest(operator_id="eve", operator=identity_pb2.Operator(role=ROLE_OPERATOR))
        )
        async with coordinator.open_channel(made.token) as eves:
            listing = eves.unary_unary(
                "/bandwatch.v1.AdminService/ListBands",
                admin_service_pb2.ListBandsRequest.SerializeToString,
                admin_service_pb2.ListBandsResponse.FromString,
            )
            assert await status_of(listing(admin_service_pb2.ListBandsRequest())) is grpc.StatusCode.OK
            await boss.DeleteOperator(identity_pb2.DeleteOperatorRequest(name="operators/eve"))
            assert await status_of(listing(admin_service_pb2.ListBandsRequest())) is grpc.StatusCode.UNAUTHENTICATED
    item_result(1, tried="revoked worker, deleted operator", how_often=2, lost="nothing")


@pytest.mark.fault(
    "a certificate that expires while its member is connected",
    "its streams end, and it opens none",
)
async def test_an_expired_certificate_ends_streams_and_opens_none(
    start_coordinator: StartCoordinator, item_result: ItemResult
) -> None:
    async with start_coordinator(certificate_lifetime_s=4) as coordinator:
        await make_cell(coordinator)
        roof = await coordinator.enroll(await invite(coordinator, ROLE_OBSERVER, "observers/roof", "cells/oak"))
        async with open_streams(coordinator, roof) as reads:
            async with asyncio.timeout(4 + SOON_S):
                codes = await asyncio.gather(*(status_of(read()) for read in reads))
            assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2
        assert await sync(coordinator.member_address, member_credentials(roof)) is grpc.StatusCode.UNAVAILABLE
        assert len(await refusals(coordinator, "unauthenticated", "Watch")) == 1
    item_result(1, tried="expired while connected, and before connecting", how_often=3, lost="nothing")


async def make_cell(coordinator: Coordinator) -> None:
    async with coordinator.admin() as admin:
        band = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6, direction=spectrum_pb2.LINK_DIRECTION_DOWNLINK)
        await admin.CreateBand(admin_service_pb2.CreateBandRequest(band_id="north", band=band))
        cell = spectrum_pb2.Cell(band="bands/north")
        await admin.CreateCell(admin_service_pb2.CreateCellRequest(cell_id="oak", cell=cell))


@pytest.mark.fault(
    "an observer that calls as another, or as an operator",
    "it is refused, and the refusal is in the audit log",
)
async def test_an_observer_can_neither_write_as_another_nor_administer(
    coordinator: Coordinator, network: Network, item_result: ItemResult
) -> None:
    roof = network.tokens["roof"]
    async with coordinator.observer(roof) as service:
        stolen = [one async for one in service.UploadSegments(iter([upload(1, observer="observers/van"), upload(2)]))]
    assert [answer.code for answer in stolen] == ["permission_denied", ""]
    [noted] = await refusals(coordinator, "permission_denied", "UploadSegments")
    assert (noted.actor, "observers/van" in noted.after) == ("observers/roof", True)
    async with open_channel(coordinator.member_address, member_credentials(roof)) as channel:
        for method in ("CreateBand", "RevokeObserver", "ListAuditEntries", "CreateOperator"):
            call: RawCall = channel.unary_unary(f"/bandwatch.v1.AdminService/{method}")
            assert await status_of(call(b"", timeout=10)) is grpc.StatusCode.PERMISSION_DENIED
            assert [e.actor for e in await refusals(coordinator, "permission_denied", method)] == ["observers/roof"]
    item_result(1, tried="another observer's segment, operators' calls by an observer", how_often=5, lost="nothing")


async def enrolled(coordinator: Coordinator, token: str, name: str) -> str:
    try:
        return (await coordinator.enroll(token, name)).name
    except BandwatchError as error:
        return error.code


@pytest.mark.fault(
    "a join token used again, or by many at the same moment",
    "it lets one in, once",
)
async def test_a_join_token_lets_one_in_once_however_many_race_for_it(
    coordinator: Coordinator, item_result: ItemResult
) -> None:
    for race in range(RACES):
        token = await invite(coordinator, ROLE_WORKER)
        names = [f"workers/racer-{race}-{number}" for number in range(RACERS)]
        ends = await asyncio.gather(*(enrolled(coordinator, token, name) for name in names))
        winners = [end for end in ends if end in names]
        assert len(winners) == 1
        assert ends.count(UnauthenticatedError.code) == RACERS - 1
        if race == 0:
            assert await enrolled(coordinator, token, names[0]) == UnauthenticatedError.code, "replayed"
    await until_written(coordinator, 1 + RACES * (RACERS - 1))
    async with coordinator.admin() as admin:
        listed = (await admin.ListCertificates(identity_pb2.ListCertificatesRequest(page_size=1000))).certificates
    assert len(listed) == RACES
    item_result(1, tried=f"{RACERS} newcomers race for one join token, one replays it", how_often=RACES, lost="nothing")


async def until_written(coordinator: Coordinator, count: int) -> list[identity_pb2.AuditEntry]:
    """Wait until so many refusals are listed or counted, and return the entries."""
    async with asyncio.timeout(10):
        while True:
            async with coordinator.admin() as admin:
                request = identity_pb2.ListAuditEntriesRequest(refusals_only=True, page_size=1000)
                entries = list((await admin.ListAuditEntries(request)).entries)
            if sum(json.loads(entry.after).get("refused_calls", 1) for entry in entries) >= count:
                return entries


async def test_a_join_token_is_good_for_its_own_name_role_and_time_only(
    coordinator: Coordinator, network: Network, item_result: ItemResult
) -> None:
    for_cell = await invite(coordinator, ROLE_OBSERVER, "", "cells/oak")
    assert await enrolled(coordinator, for_cell, "observers/van") == "already_exists", "a name is never taken over"
    assert await enrolled(coordinator, for_cell, "workers/w9") == "unauthenticated"
    assert await enrolled(coordinator, for_cell, "observers/new") == "observers/new", "what failed used nothing up"
    for_roof = await invite(coordinator, ROLE_OBSERVER, "observers/roof")
    assert await enrolled(coordinator, for_roof, "observers/roof") == "observers/roof"
    old = member_credentials(network.tokens["roof"])
    assert await sync(coordinator.member_address, old) is grpc.StatusCode.UNAUTHENTICATED, "earlier ones are revoked"
    async with coordinator.admin() as admin:
        wanted = identity_pb2.JoinToken(role=ROLE_WORKER)
        request = identity_pb2.CreateJoinTokenRequest(join_token=wanted, lifetime=Duration(nanos=1000))
        late = (await admin.CreateJoinToken(request)).token
    assert await enrolled(coordinator, late, "workers/late") == "unauthenticated"
    item_result(1, tried="join tokens for another name, role or time", how_often=4, lost="nothing")


@pytest.mark.fault(
    "a false coordinator that newcomers are led to",
    "they do not tell it their secret",
)
async def test_a_newcomer_tells_its_secret_only_to_the_coordinator_that_made_it(
    coordinator: Coordinator, item_result: ItemResult
) -> None:
    token = await invite(coordinator, ROLE_WORKER, "workers/w2")
    forged = replace(JoinToken.from_text(token), authorities=Keyring(Authority.make()).authorities)
    with pytest.raises(UnavailableError):
        await coordinator.enroll(forged.to_text(), "workers/w2")
    assert await enrolled(coordinator, token, "workers/w2") == "workers/w2", "it was not used up"
    item_result(1, tried="a coordinator that is not the one of the join token", how_often=1, lost="nothing")


@pytest.mark.fault(
    "a flood of refused calls",
    "the audit log lists the first and counts the rest",
)
async def test_refusals_are_written_down_but_cannot_flood_the_log(
    coordinator: Coordinator, item_result: ItemResult
) -> None:
    attempts = 300
    began_s = time.monotonic()
    async with coordinator.open_channel("made-up") as channel:
        call: RawCall = channel.unary_unary("/bandwatch.v1.AdminService/ListBands")
        for _ in range(attempts):
            assert await status_of(call(b"", timeout=10)) is grpc.StatusCode.UNAUTHENTICATED
    seconds = time.monotonic() - began_s
    noted = await until_written(coordinator, attempts)
    assert len(noted) <= (ENTRIES_PER_SECOND + 1) * (seconds + 2)
    item_result(
        1, tried=f"{attempts} guesses, {len(noted)} entries in {seconds:.1f} s", how_often=attempts, lost="nothing"
    )
