"""Messages that hold anything: what strangers may send to any RPC of the contract."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from bandwatch.wire.v1 import (
    admin_service_pb2,
    enrollment_service_pb2,
    observer_service_pb2,
    training_service_pb2,
)

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (enrollment_service_pb2, observer_service_pb2, training_service_pb2, admin_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
WORDS = [
    *("cells/oak", "bands/north", "observers/roof", "workers/w1", "models/m", "runs/r", "operators/tester"),
    *("0" * 64, "a" * 32, "x" * 300),
]


def _integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, high, 1, 125]) | st.integers(low, high)


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
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
    return any_message(field.message_type, depth + 1) if field.message_type is not None else SCALARS[field.type]


@st.composite
def any_message(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """Draw a message with any of its fields set to anything."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth > 4 or draw(st.integers(0, 9)) == 0:
            continue
        if field.is_repeated:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                continue
            values = draw(st.lists(_value(field, depth), max_size=3))
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(_value(field, depth)))
        else:
            setattr(message, field.name, draw(_value(field, depth)))
    return message
