"""Codes travel compressed where that pays, and nobody can make the receiver hold more than was announced."""

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.codes import compress_codes, decompress_codes


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_compressed_codes_come_back_as_they_were(piece: bytes, times: int) -> None:
    codes = piece * times
    packed = compress_codes(codes)
    assert packed is None or decompress_codes(packed, len(codes)) == codes


def test_codes_of_a_signal_are_worth_compressing_and_codes_without_any_order_are_not() -> None:
    generator = np.random.default_rng(1)
    powers_db = 10 * np.log10(generator.exponential(size=(1000, 128)))  # one look at noise
    speckle = np.clip(np.rint(2 * (powers_db + 60)), 0, 255).astype(np.uint8).tobytes()
    packed = compress_codes(speckle)
    assert packed is not None
    assert len(packed) < 0.8 * len(speckle)
    assert compress_codes(generator.integers(0, 256, 128_000, dtype=np.uint8).tobytes()) is None


BOMB = zstandard.ZstdCompressor().compress(bytes(100_000_000))


@pytest.mark.parametrize(
    ("packed", "length"),
    [
        (BOMB, 16_000),
        (BOMB.replace((100_000_000).to_bytes(4, "little"), (16_000).to_bytes(4, "little")), 16_000),
        (zstandard.ZstdCompressor(write_content_size=False).compress(bytes(16_000)), 16_000),
        (zstandard.ZstdCompressor().compress(bytes(16_000)) + b"more", 16_000),
        (zstandard.ZstdCompressor().compress(bytes(16_000))[:-2], 16_000),
        (b"no frame at all", 15),
        (b"", 0),
    ],
    ids=["bomb", "bomb that lies", "unknown length", "more behind it", "cut off", "no frame", "empty"],
)
def test_what_is_not_exactly_the_announced_codes_is_refused(packed: bytes, length: int) -> None:
    with pytest.raises(InvalidArgumentError):
        decompress_codes(packed, length)
