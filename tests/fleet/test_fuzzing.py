"""Ten thousand messages that hold anything, over every RPC: the coordinator, a process of its own, does not mind."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import psutil
import pytest

from bandwatch.identity.identity_files import load_identity
from bandwatch.wire.channel import member_credentials, newcomer_credentials, open_channel, operator_credentials
from bandwatch.wire.v1 import identity_pb2, observer_service_pb2
from bandwatch.wire.v1.authority_pb2 import ROLE_WORKER
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from coordinator.registry.callers import Role
from coordinator.rpc.identity import METHODS as ROLE_OF
from infra.local.programs import is_serving
from tests.fault_table import RecordProperty
from tests.fleet.conftest import ItemResult
from tests.fleet.coordinators import Addresses, free_addresses, serving
from tests.fleet.random_messages import random_request
from tests.integration.any_messages import METHODS
from tests.integration.conftest import Coordinator, Network, StartCoordinator, make_network

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(900)]

MESSAGES = 10_000
AT_ONCE = 16
SEED = 1
WARM_UP = 3_000
MOST_GROWTH_BYTES = 48 << 20
FAILURES = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}


@asynccontextmanager
async def channels(
    coordinator: Coordinator, network: Network, addresses: Addresses
) -> AsyncIterator[dict[Role, grpc.aio.Channel]]:
    """Connect as each kind of caller."""
    authorities, fuzzer = coordinator.authorities, load_identity(coordinator.folder / "workers" / "fuzzer", "")
    proofs = {
        Role.NEWCOMER: (addresses.open, newcomer_credentials(authorities)),
        Role.ADMIN: (addresses.open, operator_credentials(authorities, coordinator.operator_token)),
        Role.OBSERVER: (addresses.members, member_credentials(network.tokens["van"])),
        Role.WORKER: (
            addresses.members,
            member_credentials(fuzzer),
        ),
    }
    async with AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(open_channel(address, proof))
            for role, (address, proof) in proofs.items()
        }


async def send(channel: grpc.aio.Channel, path: str, request: bytes) -> grpc.StatusCode:
    """Send one message to a method and return how the call ended; a stream without end is left after a moment."""
    method = METHODS[path]
    kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    call = getattr(channel, kind)(path)(iter([request]) if method.client_streaming else request, timeout=60)
    try:
        if method.server_streaming:
            async with asyncio.timeout(0.05 if path.endswith("/Watch") else 60):
                async for _ in call:
                    pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    except TimeoutError:
        call.cancel()
    return grpc.StatusCode.OK


@pytest.mark.fault(
    "10,000 messages that hold anything, over every call",
    "the coordinator stays up, and its memory stays flat",
)
async def test_ten_thousand_messages_that_hold_anything_neither_stop_nor_swell_the_coordinator(
    start_coordinator: StartCoordinator, tmp_path: Path, item_result: ItemResult, record_property: RecordProperty
) -> None:
    async with start_coordinator() as coordinator:
        network = await make_network(coordinator)
        async with coordinator.admin() as admin:
            wanted = identity_pb2.JoinToken(role=ROLE_WORKER, member="workers/fuzzer")
            made = await admin.CreateJoinToken(identity_pb2.CreateJoinTokenRequest(join_token=wanted))
        await coordinator.enroll(made.token)
    record_property("seed", SEED)
    draw, seen, sizes = random.Random(SEED), Counter[str](), []
    acting = {Role.MEMBER: Role.OBSERVER, Role.VIEWER: Role.ADMIN, Role.OPERATOR: Role.ADMIN}
    addresses = free_addresses()
    with serving(coordinator.settings, addresses, tmp_path / "log") as process:
        memory = psutil.Process(process.pid)
        async with channels(coordinator, network, addresses) as connected:
            for begin in range(0, MESSAGES, AT_ONCE):
                paths = draw.choices(sorted(METHODS), k=min(AT_ONCE, MESSAGES - begin))
                roles = [acting.get(ROLE_OF[path] or Role.ADMIN, ROLE_OF[path] or Role.ADMIN) for path in paths]
                requests = [random_request(draw, METHODS[path].input_type) for path in paths]
                codes = await asyncio.gather(
                    *(
                        send(connected[role], path, request)
                        for role, path, request in zip(roles, paths, requests, strict=True)
                    )
                )
                for path, code in zip(paths, codes, strict=True):
                    seen[code.name] += 1
                    assert code not in FAILURES or "Watch" in path, (path, code, (tmp_path / "log").read_text()[-3000:])
                if begin >= WARM_UP and begin % 500 < AT_ONCE:
                    sizes.append(memory.memory_info().rss)
            state = observer_service_pb2.ReportedState(agent_version="0.2.0")
            service = ObserverServiceStub(connected[Role.OBSERVER])
            await service.Sync(observer_service_pb2.SyncRequest(state=state), timeout=30)
        assert process.poll() is None
        assert is_serving(addresses.open, coordinator.settings.keys_dir / "authorities.pem")
    growth = sizes[-1] - sizes[0]
    figures = f"{dict(seen.most_common())}; memory {sizes[0] >> 20} to {sizes[-1] >> 20} MiB"
    assert growth < MOST_GROWTH_BYTES, figures
    item_result(1, tried=f"messages over {len(METHODS)} RPCs: {figures}", how_often=MESSAGES, lost="nothing")
