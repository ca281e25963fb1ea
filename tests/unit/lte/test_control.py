"""The control region: its length, its capacity, and what shares it, against TS 36.211, 6.7 to 6.9."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.control import ControlRegion
from bandwatch.lte.downlink.subframes import subframe_pattern

ACKNOWLEDGEMENTS = ["2100021000", "0100101001", "0001000010", "1000000011", "0000000011", "0000000010", "1100011001"]
"""The factor m_i by TDD configuration and subframe number (table 6.9-1)."""


def region(cell_identity: int = 7, resource_blocks: int = 25, **changes: Any) -> ControlRegion:
    """Return the control region of a cell."""
    config = CellConfig(cell_identity, resource_blocks, **changes)
    return ControlRegion(config, subframe_pattern(config))


def acknowledgement_groups(cell_identity: int, resource_blocks: int, factor: int) -> list[list[int]]:
    """Write out 6.9.3 for the normal duration: the element groups of the first symbol for each mapping unit."""
    indicator = {(cell_identity + i * resource_blocks // 2) % (2 * resource_blocks) for i in range(4)}
    others = [group for group in range(2 * resource_blocks) if group not in indicator]
    n = len(others)
    return [
        [others[(cell_identity + unit + math.floor(i * n / 3)) % n] for i in range(3)]
        for unit in range(factor * math.ceil(resource_blocks / 8))
    ]


@pytest.mark.parametrize(("cell_identity", "resource_blocks"), [(0, 6), (101, 15), (302, 25), (503, 50)])
def test_the_three_parts_of_an_acknowledgement_are_sent_together_and_nothing_else_is(
    cell_identity: int, resource_blocks: int
) -> None:
    control = region(cell_identity, resource_blocks)
    share = np.full(400, 0.5, np.float32)
    filled = control.fill(share, np.zeros(400, np.int64), np.random.default_rng(1))
    draws = filled[:, 0, ::6].T
    together = {
        (first, second)
        for first in range(2 * resource_blocks)
        for second in range(first)
        if (draws[first] == draws[second]).all()
    }
    groups = acknowledgement_groups(cell_identity, resource_blocks, 1)
    assert together == {(a, b) for group in groups for a in group for b in group if a > b}
    assert draws.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("configuration", range(7))
def test_a_tdd_cell_acknowledges_where_the_table_says(configuration: int) -> None:
    control = region(duplex="tdd", tdd_configuration=configuration)
    for number, factor in enumerate(ACKNOWLEDGEMENTS[configuration]):
        filled = control.fill(np.full(200, 0.5, np.float32), np.full(200, number), np.random.default_rng(1))
        different = {row.tobytes() for row in filled[:, 0, ::6].T}
        assert 50 - len(different) == 2 * 4 * int(factor)


@given(grants=st.integers(0, 40), resource_blocks=st.sampled_from([6, 15, 25, 50]))
def test_the_region_is_as_short_as_its_grants_allow(grants: int, resource_blocks: int) -> None:
    control = region(0, resource_blocks)
    size, share = control.sizes_for(np.array([grants]), np.array([0]))
    first = 2 if resource_blocks <= 10 else 1
    taken = 4 + 3 * math.ceil(resource_blocks / 8)
    capacity = [resource_blocks * (3 * symbols - 1) - taken for symbols in range(first, first + 3)]
    enough = [index for index, groups in enumerate(capacity) if groups >= 18 * grants]
    expected = enough[0] if enough else 2
    assert size[0] == expected
    assert control.symbols[size[0]] == first + expected
    assert share[0] == pytest.approx(min(1, 18 * grants / capacity[expected]), rel=1e-6)


@pytest.mark.parametrize(("resource_blocks", "usual", "short"), [(6, 4, 2), (15, 3, 2), (25, 3, 2), (50, 3, 2)])
def test_the_region_is_never_longer_than_the_table_allows(resource_blocks: int, usual: int, short: int) -> None:
    tdd = region(0, resource_blocks, duplex="tdd", tdd_configuration=3, mbsfn_subframes=frozenset({7}))
    size, _ = tdd.sizes_for(np.full(10, 99), np.arange(10))
    assert tdd.symbols[size].tolist() == [short if number in {1, 6, 7} else usual for number in range(10)]


def test_no_grants_leave_the_region_short_and_empty() -> None:
    size, share = region().sizes_for(np.zeros(10, np.int64), np.arange(10))
    assert (size == 0).all()
    assert (share == 0).all()
