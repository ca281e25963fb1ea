"""The uplink's sequences against the formulas of TS 36.211, 5.5.1 and 5.7.2, written out."""

import cmath
import math

import numpy as np
import pytest

from bandwatch.lte.uplink.sequences import (
    PREAMBLE_LENGTH,
    cyclic_shifts,
    preamble_blocks,
    preamble_spectrum,
    reference_sequence,
    zadoff_chu,
)


@pytest.mark.parametrize(("cell_identity", "length", "prime"), [(0, 36, 31), (7, 120, 113), (44, 300, 293)])
def test_a_long_reference_sequence_is_that_of_5_5_1_1(cell_identity: int, length: int, prime: int) -> None:
    q = math.floor(prime * (cell_identity % 30 + 1) / 31 + 1 / 2)
    expected = [cmath.exp(-1j * math.pi * q * (n % prime) * (n % prime + 1) / prime) for n in range(length)]
    np.testing.assert_allclose(reference_sequence(cell_identity, length), expected, atol=1e-4)


@pytest.mark.parametrize("length", [12, 24, 36, 48, 276])
def test_a_reference_sequence_has_unit_power_everywhere_and_orthogonal_shifts(length: int) -> None:
    sequence = reference_sequence(5, length)
    np.testing.assert_allclose(np.abs(sequence), 1, atol=1e-5)
    shifted = sequence * cyclic_shifts(np.arange(12), length)
    np.testing.assert_allclose(shifted @ shifted.conj().T, length * np.eye(12), atol=1e-3 * length)


def test_cells_that_differ_in_their_group_have_other_sequences() -> None:
    for length in (12, 60):
        first, second, same = (reference_sequence(cell_identity, length) for cell_identity in (3, 4, 33))
        assert abs(np.vdot(first, second)) < 0.7 * length
        np.testing.assert_array_equal(first, same)


@pytest.mark.parametrize("root", [1, 129, 838])
def test_a_preamble_correlates_with_none_of_its_shifts(root: int) -> None:
    sequence = zadoff_chu(root, PREAMBLE_LENGTH)
    n = np.arange(PREAMBLE_LENGTH)
    np.testing.assert_allclose(sequence, np.exp(-1j * np.pi * root * n * (n + 1) / 839), atol=1e-4)
    correlation = np.fft.ifft(np.abs(np.fft.fft(sequence)) ** 2)
    assert abs(correlation[0]) == pytest.approx(839, rel=1e-4)
    assert np.abs(correlation[1:]).max() < 0.1


def test_the_subcarriers_of_a_preamble_have_unit_power_and_a_shift_turns_them() -> None:
    first, shifted = (preamble_spectrum(10, shift) for shift in (0, 100))
    np.testing.assert_allclose(np.abs(first), 1, atol=1e-3)
    turns = np.exp(2j * np.pi * 100 * np.arange(PREAMBLE_LENGTH) / PREAMBLE_LENGTH)
    np.testing.assert_allclose(shifted, first * turns, atol=1e-3)


def test_a_preamble_leaves_the_guards_of_5_7_3_free() -> None:
    lines = np.bincount(preamble_blocks())
    assert lines.tolist() == [144 - 13, 144, 144, 144, 144, 144 - 12]
