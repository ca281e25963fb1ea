"""Complex samples as receivers and SigMF recordings store them, to and from complex64."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

RawSamples: TypeAlias = bytes | NDArray[Any]
"""Stored samples: bytes, or a contiguous array whose memory is those bytes."""


@dataclass(frozen=True)
class _Storage:
    """One I or Q value: `(value - center) * step` has full scale 1.0."""

    dtype: np.dtype[Any]
    center: float
    step: float


_STORAGES: Final = {
    "cu8": _Storage(np.dtype("u1"), 127.5, 1 / 127.5),
    "ci8": _Storage(np.dtype("i1"), 0.0, 1 / 128),
    "ci16_le": _Storage(np.dtype("<i2"), 0.0, 1 / 32768),
    "cf32_le": _Storage(np.dtype("<f4"), 0.0, 1.0),
}
_SHORT_NAMES: Final = {"ci16": "ci16_le", "cf32": "cf32_le"}

DATATYPES: Final = tuple(_STORAGES)
"""Datatypes that can be read, in SigMF spelling; "ci16" and "cf32" are understood as little-endian."""


def item_bytes(datatype: str) -> int:
    """Return the bytes of one complex sample.

    Raises:
        InvalidArgumentError: The datatype is none of those that can be read.
    """
    return 2 * _storage(datatype).dtype.itemsize


def component_values(raw: RawSamples, datatype: str) -> NDArray[Any]:
    """Return the stored numbers I, Q, I, Q, ... of n samples as an array [2 n] over the same memory.

    Raises:
        InvalidArgumentError: The datatype cannot be read, or the bytes end inside a sample.
    """
    values = np.frombuffer(raw, dtype=np.uint8)
    if values.size % item_bytes(datatype):
        raise InvalidArgumentError(
            f"{values.size} bytes end inside a {datatype} sample: pass a multiple of {item_bytes(datatype)} bytes"
        )
    return values.view(_storage(datatype).dtype)


def decode_samples(raw: RawSamples, datatype: str) -> NDArray[np.complex64]:
    """Turn stored samples into a new complex64 [n] whose full scale is 1.0.

    The value between the two middle codes of cu8, 127.5, is zero; its ends are -1 and 1.

    Raises:
        InvalidArgumentError: The datatype cannot be read, or the bytes end inside a sample.
    """
    storage = _storage(datatype)
    components: NDArray[np.float32] = np.subtract(
        component_values(raw, datatype), np.float32(storage.center), dtype=np.float32
    )
    components *= np.float32(storage.step)
    return components.view(np.complex64)


def encode_samples(iq: NDArray[np.complex64], datatype: str) -> bytes:
    """Store complex64 [n], rounding to the nearest code and clipping at the converter's limits.

    Raises:
        InvalidArgumentError: The datatype cannot be written.
    """
    storage = _storage(datatype)
    components = np.ascontiguousarray(iq, dtype=np.complex64).view(np.float32)
    if storage.dtype.kind == "f":
        return components.astype(storage.dtype).tobytes()
    codes = components / np.float32(storage.step) + np.float32(storage.center)
    limits = np.iinfo(storage.dtype)
    clipped: NDArray[np.float32] = np.rint(codes).clip(limits.min, limits.max)
    return clipped.astype(storage.dtype).tobytes()


def _storage(datatype: str) -> _Storage:
    storage = _STORAGES.get(_SHORT_NAMES.get(datatype, datatype))
    if storage is None:
        raise InvalidArgumentError(f"samples of datatype {datatype!r} cannot be read: use {', '.join(DATATYPES)}")
    return storage
