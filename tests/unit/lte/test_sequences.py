"""Sequences against the sums and recursions of TS 36.211, written out element by element."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte import sequences


def textbook_gold(initial: int, length: int) -> list[int]:
    """Write out 7.2 bit by bit."""
    x1 = [1] + [0] * 30
    x2 = [(initial >> i) & 1 for i in range(31)]
    for n in range(1600 + length):
        x1.append((x1[n + 3] + x1[n]) % 2)
        x2.append((x2[n + 3] + x2[n + 2] + x2[n + 1] + x2[n]) % 2)
    return [(x1[n + 1600] + x2[n + 1600]) % 2 for n in range(length)]


def textbook_secondary(group: int, identity: int, subframe: int) -> list[int]:
    """Write out 6.11.2.1 element by element."""

    def m_sequence(taps: tuple[int, ...]) -> list[int]:
        x = [0, 0, 0, 0, 1]
        for i in range(26):
            x.append(sum(x[i + tap] for tap in taps) % 2)
        return [1 - 2 * bit for bit in x]

    s, c, z = m_sequence((2, 0)), m_sequence((3, 0)), m_sequence((4, 2, 1, 0))
    q_prime = group // 30
    q = (group + q_prime * (q_prime + 1) // 2) // 30
    m_prime = group + q * (q + 1) // 2
    m0 = m_prime % 31
    m1 = (m0 + m_prime // 31 + 1) % 31
    d = []
    for n in range(31):
        s0, s1 = s[(n + m0) % 31], s[(n + m1) % 31]
        c0, c1 = c[(n + identity) % 31], c[(n + identity + 3) % 31]
        z0, z1 = z[(n + m0 % 8) % 31], z[(n + m1 % 8) % 31]
        d += [s0 * c0, s1 * c1 * z0] if subframe == 0 else [s1 * c0, s0 * c1 * z1]
    return d


@given(initial=st.integers(0, 2**31 - 1), length=st.integers(0, 500))
def test_the_gold_sequence_is_that_of_the_textbook(initial: int, length: int) -> None:
    assert sequences.gold_sequence(initial, length).tolist() == textbook_gold(initial, length)


@pytest.mark.parametrize(("identity", "root"), [(0, 25), (1, 29), (2, 34)])
def test_the_primary_signal_is_a_zadoff_chu_sequence_without_its_middle(identity: int, root: int) -> None:
    whole = [cmath.exp(-1j * math.pi * root * n * (n + 1) / 63) for n in range(63)]
    np.testing.assert_allclose(sequences.primary_synchronisation(identity), whole[:31] + whole[32:], atol=1e-5)


@given(group=st.integers(0, 167), identity=st.integers(0, 2), subframe=st.sampled_from([0, 5]))
def test_the_secondary_signal_is_that_of_the_textbook(group: int, identity: int, subframe: int) -> None:
    expected = textbook_secondary(group, identity, subframe)
    assert sequences.secondary_synchronisation(group, identity, subframe).tolist() == expected


def test_every_group_has_secondary_signals_of_its_own() -> None:
    signals = {
        sequences.secondary_synchronisation(group, 0, subframe).tobytes() for group in range(168) for subframe in (0, 5)
    }
    assert len(signals) == 2 * 168


def test_a_narrow_cell_uses_the_middle_of_a_wide_cells_reference_signal() -> None:
    wide = sequences.reference_signal(cell_identity=301, slot=7, symbol=4, resource_blocks=110)
    narrow = sequences.reference_signal(cell_identity=301, slot=7, symbol=4, resource_blocks=6)
    np.testing.assert_array_equal(narrow, wide[104:116])


def test_qpsk_maps_bit_pairs_as_the_standard_does() -> None:
    root = 1 / math.sqrt(2)
    symbols = sequences.qpsk(np.array([0, 0, 0, 1, 1, 0, 1, 1], np.uint8))
    np.testing.assert_allclose(
        symbols, [root + 1j * root, root - 1j * root, -root + 1j * root, -root - 1j * root], rtol=1e-6
    )


@pytest.mark.parametrize("cell_identity", [-1, 504])
def test_an_impossible_cell_identity_is_refused(cell_identity: int) -> None:
    with pytest.raises(InvalidArgumentError, match="outside 0 to 503"):
        sequences.split_cell_identity(cell_identity)
