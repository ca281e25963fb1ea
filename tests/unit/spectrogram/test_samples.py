"""Stored samples against the formula of their datatype."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.samples import DATATYPES, decode_samples, encode_samples, item_bytes


@pytest.mark.parametrize(
    ("datatype", "layout", "center", "full_scale"),
    [("cu8", "B", 127.5, 127.5), ("ci8", "b", 0, 128), ("ci16_le", "<h", 0, 32768), ("cf32_le", "<f", 0, 1)],
)
def test_each_datatype_decodes_as_its_numbers_over_full_scale(
    datatype: str, layout: str, center: float, full_scale: float
) -> None:
    raw = np.random.default_rng(1).integers(0, 60, 4 * item_bytes(datatype), dtype=np.uint8).tobytes()
    numbers = [value for (value,) in struct.iter_unpack(layout, raw)]
    expected = [complex(i - center, q - center) / full_scale for i, q in zip(numbers[::2], numbers[1::2], strict=True)]
    decoded = decode_samples(raw, datatype)
    assert decoded.dtype == np.complex64
    np.testing.assert_allclose(decoded, expected, rtol=1e-6)


@pytest.mark.parametrize(("short", "full"), [("ci16", "ci16_le"), ("cf32", "cf32_le")])
def test_a_datatype_without_byte_order_is_little_endian(short: str, full: str) -> None:
    raw = bytes(range(16))
    np.testing.assert_array_equal(decode_samples(raw, short), decode_samples(raw, full))


@pytest.mark.parametrize("datatype", DATATYPES)
@given(data=st.data())
def test_encoding_gives_back_the_stored_bytes(datatype: str, data: st.DataObject) -> None:
    if datatype == "cf32_le":
        values = data.draw(st.lists(st.floats(-2, 2, width=32), max_size=20).filter(lambda drawn: len(drawn) % 2 == 0))
        raw = np.array(values, dtype="<f4").tobytes()
    else:
        size = data.draw(st.integers(0, 20)) * item_bytes(datatype)
        raw = data.draw(st.binary(min_size=size, max_size=size))
    assert encode_samples(decode_samples(raw, datatype), datatype) == raw


def test_samples_beyond_full_scale_are_clipped_not_wrapped() -> None:
    assert encode_samples(np.array([2 - 2j], dtype=np.complex64), "ci8") == struct.pack("bb", 127, -128)
    assert encode_samples(np.array([2 - 2j], dtype=np.complex64), "cu8") == bytes([255, 0])


def test_an_array_of_stored_integers_decodes_as_its_bytes_and_stays_as_it_was() -> None:
    stored = np.array([0, 255, 127, 128], dtype=np.uint8)
    decoded = decode_samples(stored, "cu8")
    np.testing.assert_array_equal(decoded, decode_samples(stored.tobytes(), "cu8"))
    assert stored.tolist() == [0, 255, 127, 128]


def test_bytes_that_end_inside_a_sample_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="multiple of 4 bytes"):
        decode_samples(bytes(6), "ci16_le")


def test_an_unknown_datatype_is_refused_with_those_that_can_be_read() -> None:
    with pytest.raises(InvalidArgumentError, match="cu8, ci8, ci16_le, cf32_le"):
        decode_samples(b"", "rf64_be")
