"""The energy plan of a cell: what its resource elements get, against the standard's places and the symbols drawn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.energy import ALMOST_BLANK, VARIANTS
from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.downlink.signal import Downlink

FULL = 1.0
CELLS: list[dict[str, Any]] = [
    {},
    {"ports": 2, "reference_boost_db": 3.0, "data_offset_db": -2.0},
    {"duplex": "tdd", "tdd_configuration": 1, "special_subframe": 7, "ports": 2},
    {"mbsfn_subframes": frozenset({2, 6}), "almost_blank_subframes": "0001000000" * 4},
]


def cell(cell_identity: int = 7, resource_blocks: int = 6, **changes: Any) -> Downlink:
    """Return the downlink of a small cell."""
    return Downlink(CellConfig(cell_identity, resource_blocks, **changes), np.random.SeedSequence(2))


def service(variant: int, share: float, power: float, resource_blocks: int = 6) -> Service:
    """Return ten subframes in a row that are all of one variant and served alike."""
    return Service(
        np.arange(10) * VARIANTS + variant,
        np.full(10, share, np.float32),
        np.full((10, resource_blocks), power, np.float32),
    )


def reference_columns(cell_identity: int, port: int, symbol: int, subcarriers: int) -> set[int]:
    """Write out 6.10.1.2: the subcarriers of a port's reference signals in a symbol of a subframe."""
    in_slot = symbol % 7
    if in_slot not in {0, 4}:
        return set()
    v = {(0, 0): 0, (0, 4): 3, (1, 0): 3, (1, 4): 0}[port, in_slot]
    return {6 * m + (v + cell_identity % 6) % 6 for m in range(subcarriers // 6)}


def places(energies: NDArray[np.float32], symbol: int) -> set[int]:
    """Return the subcarriers with energy in one symbol of a subframe [14, subcarriers]."""
    return set(np.flatnonzero(energies[symbol]).tolist())


@pytest.mark.parametrize("changes", CELLS)
@pytest.mark.parametrize(("variant", "share", "power"), [(0, 0.5, 1.0), (1, 0.3, 0.5), (2, 1.0, 0.0)])
def test_symbols_have_the_energies_of_the_plan(
    changes: dict[str, Any], variant: int, share: float, power: float
) -> None:
    downlink, draws = cell(**changes), 200
    served = service(variant, share, power)
    expected = downlink.plan.energies(served)
    total = np.zeros_like(expected)
    for _ in range(draws):
        total += np.abs(downlink.grids_of(served).reshape(expected.shape)) ** 2
    assert (total[expected == 0] == 0).all()
    np.testing.assert_allclose(total / draws, expected, atol=0.3)
    by_symbol = (total / draws).mean(axis=3)
    np.testing.assert_allclose(by_symbol, expected.mean(axis=3), atol=0.03)


@pytest.mark.parametrize("cell_identity", [0, 4, 101, 503])
@pytest.mark.parametrize("ports", [1, 2])
def test_an_idle_subframe_holds_reference_signals_where_the_formula_says(cell_identity: int, ports: int) -> None:
    energies = cell(cell_identity, 15, ports=ports).plan.energies(service(ALMOST_BLANK, 0, 0, 15))
    for port in range(ports):
        for symbol in range(14):
            assert places(energies[port, 3], symbol) == reference_columns(cell_identity, port, symbol, 180)


def test_two_ports_share_the_power_of_one() -> None:
    one, two = (cell(ports=ports).plan.energies(service(1, FULL, FULL)) for ports in (1, 2))
    references = (two[0] == 0) & (two[1] > 0)
    np.testing.assert_allclose((two[0] + two[1])[~references], one[0][~references], atol=1e-6)
    np.testing.assert_allclose(two[1][references], 1, atol=1e-6)
    shared = (two[0] > 0) & (two[1] > 0)
    np.testing.assert_allclose(two[0][shared], 0.5)
    np.testing.assert_allclose(two[1][shared], 0.5)


def test_no_data_are_put_on_the_reference_signals_of_the_other_port() -> None:
    energies = cell(7, 15, ports=2).plan.energies(service(0, FULL, FULL, 15))
    for symbol in (4, 7, 11):
        for port in (0, 1):
            other = reference_columns(7, 1 - port, symbol, 180)
            assert places(energies[port, 3], symbol) == set(range(180)) - other


@pytest.mark.parametrize("configuration", range(7))
def test_a_tdd_cell_is_silent_in_the_uplink_and_in_the_guard_period(configuration: int) -> None:
    downlink = cell(duplex="tdd", tdd_configuration=configuration, special_subframe=1)
    used = downlink.plan.energies(service(0, FULL, FULL))[0].any(axis=2)
    uplink = [{2, 3, 4, 7, 8, 9}, {2, 3, 7, 8}, {2, 7}, {2, 3, 4}, {2, 3}, {2}, {2, 3, 4, 7, 8}][configuration]
    special = {1, 6} if configuration in {0, 1, 2, 6} else {1}
    for number, symbols in enumerate(used):
        last = 0 if number in uplink else 9 if number in special else 14
        assert symbols.tolist() == [True] * last + [False] * (14 - last)


def test_a_short_special_subframe_has_control_and_synchronisation_but_no_data() -> None:
    plan = cell(resource_blocks=25, duplex="tdd", special_subframe=0).plan
    kind = 1 * VARIANTS + 1
    assert not plan.data[:, kind].any()
    assert plan.control[0, kind].any(axis=1).tolist() == [True] * 2 + [False] * 12
    assert plan.fixed[0, kind, 2, 119:181].all()
    assert plan.fixed[0, kind, 2].sum() == 62


def test_a_multicast_subframe_has_reference_signals_in_its_first_symbol_only() -> None:
    plan = cell(7, 15, mbsfn_subframes=frozenset({1})).plan
    multicast = 1 * VARIANTS + 1
    assert places(plan.fixed[0, multicast], 0) >= reference_columns(7, 0, 0, 180)
    assert not plan.fixed[0, multicast, 1:].any()
    assert (plan.data[0, multicast, 2:] == 1).all()
    assert not plan.data[0, multicast, :2].any()


def test_an_almost_blank_subframe_keeps_synchronisation_and_broadcast() -> None:
    served = service(ALMOST_BLANK, FULL, FULL, 15)
    energies = cell(7, 15).plan.energies(served)[0]
    assert places(energies[0], 5) == places(energies[5], 6) == set(range(59, 121))
    broadcast = energies[0, 7:11, 54:126]
    reserved = [k for k in range(54, 126) if k % 3 == 7 % 3]
    assert (broadcast[[2, 3]] == 1).all()
    assert broadcast.sum() == 240 + len(reserved) / 2
    assert not energies[3, 1:4].any()


def test_offsets_change_the_power_of_reference_signals_and_of_data_alone() -> None:
    plain, offset = cell().plan, cell(reference_boost_db=3.0, data_offset_db=-4.77).plan
    np.testing.assert_allclose(offset.data, plain.data * 0.3334, rtol=1e-3)
    np.testing.assert_array_equal(offset.control, plain.control)
    ratio = offset.fixed[plain.fixed > 0] / plain.fixed[plain.fixed > 0]
    assert sorted(set(np.round(ratio, 3).tolist())) == pytest.approx([1.0, 1.995])
    boosted = (offset.fixed[0, 3 * VARIANTS] > 1.5).sum()
    assert boosted == 4 * 12


def test_control_and_data_never_meet() -> None:
    plan = cell(resource_blocks=25).plan
    assert not (plan.control * plan.data).any()
    assert not (plan.control * plan.fixed).any()
    assert not (plan.data * plan.fixed).any()
    for size, symbols in enumerate((1, 2, 3)):
        rows = plan.control[0, 2 * VARIANTS + size].any(axis=1)
        assert np.flatnonzero(rows).tolist() == list(range(symbols))
