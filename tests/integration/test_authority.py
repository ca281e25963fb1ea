"""Who may call what: generated from the contract, so a new RPC cannot be forgotten."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandwatch.wire.channel import open_channel
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, training_service_pb2
from coordinator.rpc.identity import ROLE_OF_SERVICE, Role
from tests.integration.conftest import Coordinator, Network

METHODS: dict[str, MethodDescriptor] = {
    f"{service.full_name}/{method.name}": method
    for module in (observer_service_pb2, training_service_pb2, admin_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


async def _call(address: str, token: str, path: str, request: bytes) -> grpc.StatusCode:
    """Call a method with raw bytes and return how it ended."""
    method = METHODS[path]
    async with open_channel(address, token) as channel:
        kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
        call = getattr(channel, kind)(f"/{path}")
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


def _empty(path: str) -> bytes:
    return GetMessageClass(METHODS[path].input_type)().SerializeToString()


@pytest.mark.parametrize("path", METHODS)
async def test_nobody_calls_without_a_token_that_is_known(coordinator: Coordinator, path: str) -> None:
    assert await _call(coordinator.address, "made-up", path, _empty(path)) is grpc.StatusCode.UNAUTHENTICATED


async def test_every_rpc_serves_its_own_audience_only(coordinator: Coordinator, network: Network) -> None:
    tokens = {
        Role.OBSERVER: network.tokens["roof"],
        Role.OPERATOR: coordinator.token("operator"),
        Role.WORKER: coordinator.token("worker"),
    }
    for path in METHODS:
        allowed = ROLE_OF_SERVICE[path.split("/")[0]]
        for role, token in tokens.items():
            code = await _call(coordinator.address, token, path, _empty(path))
            assert (code is grpc.StatusCode.PERMISSION_DENIED) == (role is not allowed), (path, role)


WORDS = ["cells/oak", "bands/north", "observers/roof", "models/m", "runs/r", "0" * 64, "a" * 32, "x" * 300]


def _integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, high, 1, 125]) | st.integers(low, high)


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=50),
    FieldDescriptor.TYPE_STRING: st.sampled_from(WORDS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    FieldDescriptor.TYPE_INT32: _integers(32, signed=True),
    FieldDescriptor.TYPE_UINT32: _integers(32, signed=False),
    FieldDescriptor.TYPE_INT64: _integers(64, signed=True),
    FieldDescriptor.TYPE_UINT64: _integers(64, signed=False),
    FieldDescriptor.TYPE_ENUM: st.integers(-3, 9),
}


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Return any value that a field can carry, sensible or not."""
    return _message(field.message_type, depth + 1) if field.message_type is not None else SCALARS[field.type]


@st.composite
def _message(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """Draw a message with any of its fields set to anything."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth > 4 or draw(st.integers(0, 9)) == 0:
            continue
        if field.is_repeated:
            values = draw(st.lists(_value(field, depth), max_size=3))
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(_value(field, depth)))
        else:
            setattr(message, field.name, draw(_value(field, depth)))
    return message


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(METHODS)), data=st.data())
async def test_no_message_whatever_it_holds_makes_the_coordinator_fail(
    coordinator: Coordinator, network: Network, path: str, data: st.DataObject
) -> None:
    request = data.draw(_message(METHODS[path].input_type)).SerializeToString()
    role = ROLE_OF_SERVICE[path.split("/", maxsplit=1)[0]]
    token = network.tokens["roof"] if role is Role.OBSERVER else coordinator.token(role.value)
    code = await _call(coordinator.address, token, path, request)
    assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, path
