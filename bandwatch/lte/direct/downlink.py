"""The power that a cell's downlink brings to the bins of frames.

The plan of a cell is carried over from subcarriers to bins once. A subframe is then one small product: what is always
sent, the filled share of its control region and the power in each resource block, times their templates.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.bins import BandBins
from bandwatch.lte.direct.energy import SymbolPowers
from bandwatch.lte.direct.known import known_beats, known_pattern
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.energy import known_signals
from bandwatch.lte.downlink.grid import lay_out_frame
from bandwatch.lte.downlink.plan import EnergyPlan, Service
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.downlink.subframes import subframe_pattern
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, Numerology
from bandwatch.spectrogram.bands import FRAME_BINS

DATA_MAGNITUDE_VARIANCE: Final = 0.32
"""Relative variance of the power of a resource element with data: its symbols are 16QAM (TS 36.211, 7.1.3)."""

_GROUP_SUBCARRIERS: Final = (6, 4, 4, 4)  # of an element group, reference signals among them (TS 36.211, 6.2.4)

_Members: TypeAlias = list[tuple[int, NDArray[np.int64]]]
"""Which subframes are of each kind."""


class ServingCell(Protocol):
    """A cell that tells what it serves."""

    def next_service(self, subframes: int) -> Service:
        """Return what is served in the next subframes."""
        ...


@dataclass(frozen=True)
class DownlinkTemplates:
    """What the parts of a subframe bring to bins, by kind of subframe.

    Attributes:
        whole: float32 [ports, kinds, 2 + resource_blocks, 14 x 128], by whole tones: what is always sent, a full
            control region, and data in each resource block.
        cut: The same by cut tones.
        always_square: float32 [kinds, 14 x 128], the square of what all ports always send.
        groups: What each element group of the control region brings by whole tones, float32 [ports, kinds, groups, 128]
            for each symbol of the longest region.
        occupied_hz: The lowest and the highest subcarrier, relative to the middle of the band.
    """

    whole: NDArray[np.float32]
    cut: NDArray[np.float32]
    always_square: NDArray[np.float32]
    groups: tuple[NDArray[np.float32], ...]
    occupied_hz: tuple[float, float]


@lru_cache(maxsize=16)
def downlink_templates(config: CellConfig, bins: BandBins, offset_hz: float = 0.0) -> DownlinkTemplates:
    """Return the templates of a cell, made once for all who ask; they do not depend on its load.

    Args:
        config: The cell.
        bins: The bins of the band.
        offset_hz: The middle of the band less the carrier.
    """
    plan = Downlink(config, np.random.SeedSequence(0)).plan
    subcarriers_hz = Numerology(config.resource_blocks).subcarrier_hz() - offset_hz
    tones, cut_tones = bins.tones(subcarriers_hz)
    whole = _by_part(plan, tones)
    controlled = [symbol for symbol in range(len(_GROUP_SUBCARRIERS)) if plan.control[:, :, symbol].any()]
    return DownlinkTemplates(
        whole=whole,
        cut=_by_part(plan, cut_tones),
        always_square=whole[:, :, 0].sum(axis=0) ** 2,
        groups=tuple(
            _by_groups(plan.control[:, :, symbol], tones, _GROUP_SUBCARRIERS[symbol]) for symbol in controlled
        ),
        occupied_hz=(float(subcarriers_hz[0]), float(subcarriers_hz[-1])),
    )


@dataclass(frozen=True)
class KnownSignals:
    """What frames show of the known signals of a cell beyond their energies.

    Attributes:
        pattern: float32 [ports, 625, 128], of each port alone.
        beats: complex64 [625 or 1, 128], of two ports together.
    """

    pattern: NDArray[np.float32]
    beats: NDArray[np.complex64]


@lru_cache(maxsize=64)
def downlink_known(config: CellConfig, bins: BandBins, first_subframe: int = 0, offset_hz: float = 0.0) -> KnownSignals:
    """Return what frames show of the known signals of a cell beyond their energies.

    Args:
        config: The cell.
        bins: The bins of the band.
        first_subframe: Number, in its radio frame, of the subframe that the first frame begins with.
        offset_hz: The middle of the band less the carrier.
    """
    layout = lay_out_frame(config, subframe_pattern(config))
    known = np.roll(known_signals(layout, config.reference_boost_db), -first_subframe, axis=1)
    numerology = Numerology(config.resource_blocks)
    return KnownSignals(
        np.stack([known_pattern(of_port, numerology, bins, offset_hz) for of_port in known]),
        known_beats(known, numerology, bins, offset_hz) if len(known) > 1 else np.zeros((1, FRAME_BINS), np.complex64),
    )


class DownlinkPowers:
    """A cell's downlink as a sender.

    Args:
        cell: The cell.
        templates: What parts of its subframes bring.
        known: What frames show beyond that.
        control: Draws which element groups of the control region are filled; with None they are all filled in part,
            which is what they are in the mean.
    """

    def __init__(
        self,
        cell: ServingCell,
        templates: DownlinkTemplates,
        known: KnownSignals,
        control: np.random.Generator | None,
    ) -> None:
        self.occupied_hz = templates.occupied_hz
        self.pattern = known.pattern
        self.beats = known.beats
        self._cell = cell
        self._templates = templates
        self._control = control

    def next_powers(self, subframes: int) -> SymbolPowers:
        """Return what the symbols of the next subframes bring."""
        service = self._cell.next_service(subframes)
        order = np.argsort(service.kind, kind="stable")
        kinds, starts = np.unique(service.kind[order], return_index=True)
        members = list(zip(kinds.tolist(), np.split(order, starts[1:]), strict=True))
        served = np.column_stack([np.ones_like(service.control_share), service.control_share, service.blocks])
        cut = _powers(self._templates.cut, served, members)
        if self._control is not None:
            served[:, 1] = 0
        whole = _powers(self._templates.whole, served, members)
        if self._control is not None:
            self._fill(whole, service.control_share, members, self._control)
        random_square = np.square(whole.sum(axis=0))
        random_square -= self._templates.always_square[service.kind]
        return SymbolPowers(
            whole.reshape(len(whole), -1, FRAME_BINS),
            cut.reshape(len(cut), -1, FRAME_BINS),
            random_square.reshape(-1, FRAME_BINS),
        )

    def _fill(
        self, whole: NDArray[np.float32], share: NDArray[np.float32], members: _Members, control: np.random.Generator
    ) -> None:
        """Draw which element groups are filled, and add what they bring."""
        for symbol, groups in enumerate(self._templates.groups):
            drawn = control.random((len(share), groups.shape[2]), np.float32) < share[:, np.newaxis]
            filled = drawn.astype(np.float32)
            row = slice(symbol * FRAME_BINS, (symbol + 1) * FRAME_BINS)
            for kind, of_kind in members:
                whole[:, of_kind, row] += filled[of_kind] @ groups[:, kind]


def _by_part(plan: EnergyPlan, tones: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each part of a subframe brings, float32 [ports, kinds, 2 + resource_blocks, 14 x 128]."""
    ports, kinds, symbols, _ = plan.data.shape
    data = np.moveaxis(_by_groups(plan.data, tones, BLOCK_SUBCARRIERS), 3, 2)
    parts = np.concatenate([np.stack([plan.fixed @ tones, plan.control @ tones], axis=2), data], axis=2)
    return parts.reshape(ports, kinds, -1, symbols * FRAME_BINS)


def _by_groups(energies: NDArray[np.float32], tones: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return what groups of so many subcarriers bring, float32 [..., groups, 128], of energies [..., subcarriers]."""
    grouped = energies.reshape(*energies.shape[:-1], -1, 1, width)
    brought: NDArray[np.float32] = (grouped @ tones.reshape(-1, width, FRAME_BINS))[..., 0, :]
    return brought


def _powers(parts: NDArray[np.float32], served: NDArray[np.float32], members: _Members) -> NDArray[np.float32]:
    """Return what subframes bring, float32 [ports, n, 14 x 128]."""
    powers = np.empty((len(parts), len(served), parts.shape[-1]), np.float32)
    for kind, of_kind in members:
        powers[:, of_kind] = served[of_kind] @ parts[:, kind]
    return powers
