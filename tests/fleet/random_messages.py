"""Messages and bytes at random, many and fast: for any RPC of the contract, from one seed."""

import random
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.integration.any_messages import WORDS

_DEPTH = 4
_BITS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}


def random_request(draw: random.Random, descriptor: Descriptor) -> bytes:
    """Return a message with anything in it; one in four is damaged afterwards, one in ten is noise from the start."""
    chance = draw.random()
    if chance < 0.1:
        return draw.randbytes(draw.choice((0, 1, 7, 300, 20_000)))
    content = bytearray(_message(draw, descriptor, 0).SerializeToString())
    if chance < 0.35 and content:
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        del content[draw.randrange(len(content)) :]
    return bytes(content)


def _message(draw: random.Random, descriptor: Descriptor, depth: int) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth >= _DEPTH or draw.random() < 0.15:
            continue
        if field.is_repeated:
            values = [_value(draw, field, depth) for _ in range(draw.randint(0, 3))]
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(_value(draw, field, depth))
        else:
            setattr(message, field.name, _value(draw, field, depth))
    return message


def _value(draw: random.Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return _message(draw, field.message_type, depth + 1)
    if field.type in _BITS:
        low, high = _BITS[field.type]
        return draw.choice((low, high, 1, 125, draw.randint(low, high)))
    return _OTHERS.get(field.type, _float)(draw)


def _float(draw: random.Random) -> float:
    return float(struct.unpack("<d", draw.randbytes(8))[0])


def _text(draw: random.Random) -> str:
    return draw.choice(WORDS) if draw.random() < 0.6 else "".join(chr(draw.randrange(1, 0xD7FF)) for _ in range(9))


_OTHERS: dict[int, Callable[[random.Random], Any]] = {
    FieldDescriptor.TYPE_ENUM: lambda draw: draw.randint(-3, 9),
    FieldDescriptor.TYPE_BOOL: lambda draw: draw.random() < 0.5,
    FieldDescriptor.TYPE_BYTES: lambda draw: draw.randbytes(draw.randint(0, 200)),
    FieldDescriptor.TYPE_STRING: _text,
}
