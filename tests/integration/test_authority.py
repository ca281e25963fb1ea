"""Who may call what: generated from the contract, so a new RPC cannot be forgotten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bandwatch.identity.identity_files import Identity
from bandwatch.wire.channel import member_credentials, newcomer_credentials, open_channel, operator_credentials
from bandwatch.wire.v1 import authority_pb2, enrollment_service_pb2, identity_pb2, observer_service_pb2
from bandwatch.wire.v1.enrollment_service_pb2_grpc import EnrollmentServiceStub
from coordinator.registry.callers import Role
from coordinator.registry.session import Registry
from coordinator.rpc.identity import METHODS as ROLE_OF
from tests.integration.any_messages import METHODS, any_message
from tests.integration.conftest import Coordinator, Network
from tests.integration.honest_segments import upload

OBSERVERS_SERVICE = "/bandwatch.v1.ObserverService/"
OPERATORS = {
    Role.VIEWER: authority_pb2.ROLE_VIEWER,
    Role.OPERATOR: authority_pb2.ROLE_OPERATOR,
    Role.ADMIN: authority_pb2.ROLE_ADMIN,
}
SERVES = {
    Role.NEWCOMER: set(Role),
    Role.MEMBER: {Role.OBSERVER, Role.WORKER},
    Role.OBSERVER: {Role.OBSERVER},
    Role.WORKER: {Role.WORKER},
    Role.VIEWER: {Role.VIEWER, Role.OPERATOR, Role.ADMIN},
    Role.OPERATOR: {Role.OPERATOR, Role.ADMIN},
    Role.ADMIN: {Role.ADMIN},
}
"""Written out once more, beside the table that the coordinator works by."""


@dataclass(frozen=True)
class Callers:
    """One open channel for each kind of caller; None is nobody."""

    channels: dict[Role | None, grpc.aio.Channel]

    async def status(self, role: Role | None, path: str, request: bytes) -> grpc.StatusCode:
        """Call a method with raw bytes and return how it ended."""
        method = METHODS[path]
        kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
        call = getattr(self.channels[role], kind)(path)
        sent = iter([request]) if method.client_streaming else request
        try:
            answer = call(sent, timeout=10)
            if path.endswith("/Watch"):
                await answer.read()
                answer.cancel()
            elif method.server_streaming:
                async for _ in answer:
                    pass
            else:
                await answer
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@pytest.fixture
async def callers(coordinator: Coordinator, network: Network) -> AsyncIterator[Callers]:
    """Connect as everybody: an observer, a worker, a viewer, an operator, an admin, and nobody."""
    credentials: dict[Role | None, grpc.ChannelCredentials] = {None: newcomer_credentials(coordinator.authorities)}
    async with coordinator.admin() as admin:
        for role, number in OPERATORS.items():
            request = identity_pb2.CreateOperatorRequest(
                operator_id=role.value, operator=identity_pb2.Operator(role=number)
            )
            token = (await admin.CreateOperator(request)).token
            credentials[role] = operator_credentials(coordinator.authorities, token)
    credentials[Role.OBSERVER] = member_credentials(network.tokens["roof"])
    credentials[Role.WORKER] = member_credentials(await coordinator.worker())
    members = {Role.OBSERVER, Role.WORKER}
    channels = {
        role: open_channel(coordinator.member_address if role in members else coordinator.address, proof)
        for role, proof in credentials.items()
    }
    yield Callers(channels)
    await asyncio.gather(*(channel.close() for channel in channels.values()))


def empty(path: str) -> bytes:
    return GetMessageClass(METHODS[path].input_type)().SerializeToString()


def test_every_rpc_says_who_may_call_it() -> None:
    assert set(ROLE_OF) == set(METHODS)
    assert [path for path, role in ROLE_OF.items() if role is None] == []


async def test_every_rpc_serves_those_that_its_role_includes_and_nobody_else(callers: Callers) -> None:
    for path, needed in ROLE_OF.items():
        assert needed is not None
        for role in (*OPERATORS, Role.OBSERVER, Role.WORKER):
            code = await callers.status(role, path, empty(path))
            refused = code in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
            assert refused == (role not in SERVES[needed]), (path, role, code)


async def test_nobody_calls_without_a_proof_but_newcomers(callers: Callers) -> None:
    for path, needed in ROLE_OF.items():
        code = await callers.status(None, path, empty(path))
        assert (code is grpc.StatusCode.UNAUTHENTICATED) == (needed is not Role.NEWCOMER), path


async def test_a_made_up_token_opens_nothing(coordinator: Coordinator) -> None:
    channel = coordinator.open_channel("made-up")
    made_up = Callers({None: channel})
    for path, needed in ROLE_OF.items():
        if needed is not Role.NEWCOMER:
            assert await made_up.status(None, path, empty(path)) is grpc.StatusCode.UNAUTHENTICATED, path
    await channel.close()


@pytest.mark.fault(
    "strangers that hold every connection they can get",
    "members are served",
)
async def test_however_many_strangers_wait_for_an_answer_members_get_theirs(
    coordinator: Coordinator, network: Network
) -> None:
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    request = enrollment_service_pb2.EnrollRequest(
        name="observers/stranger", join_secret="guessed" * 5, certificate_request=b"nothing"
    )
    async with coordinator.open_channel() as channel:
        async with registry.transaction() as session:
            await session.execute(text("LOCK TABLE join_tokens"))
            guesses = [EnrollmentServiceStub(channel).Enroll(request, timeout=60) for _ in range(60)]
            waiting = text("SELECT count(*) FROM pg_locks WHERE relation = 'join_tokens'::regclass AND NOT granted")
            async with asyncio.timeout(20):
                while not await session.scalar(waiting):  # each look takes its time
                    pass
            for _ in range(20):
                assert (await sync(coordinator, network.tokens["roof"])).desired.cell.name == "cells/oak"
        answers = await asyncio.gather(*guesses, return_exceptions=True)
    await registry.close()
    codes = {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}
    assert codes <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT}


async def sync(coordinator: Coordinator, identity: Identity) -> observer_service_pb2.SyncResponse:
    state = observer_service_pb2.ReportedState(agent_version="0.2.0")
    async with coordinator.observer(identity) as service:
        return await service.Sync(observer_service_pb2.SyncRequest(state=state))


async def test_an_observer_hears_of_itself_and_writes_as_itself_whatever_it_says(
    coordinator: Coordinator, network: Network
) -> None:
    roof, van = network.tokens["roof"], network.tokens["van"]
    assert (await sync(coordinator, roof)).desired.cell.name == "cells/oak"
    assert (await sync(coordinator, van)).desired.cell.name == "cells/elm"
    async with coordinator.observer(van) as service:
        [answer] = [one async for one in service.UploadSegments(iter([upload(1, observer="observers/roof")]))]
    assert answer.code == "permission_denied"


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(METHODS)), data=st.data())
async def test_no_message_whatever_it_holds_makes_the_coordinator_fail(
    callers: Callers, path: str, data: st.DataObject
) -> None:
    request = data.draw(any_message(METHODS[path].input_type)).SerializeToString()
    needed = ROLE_OF[path]
    role = {Role.NEWCOMER: None, Role.MEMBER: Role.OBSERVER, None: None}.get(needed, needed)
    code = await callers.status(role, path, request)
    assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, path
