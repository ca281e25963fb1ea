"""What a cell sends: what it serves in each subframe, and the symbols for that."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.control import ControlRegion
from bandwatch.lte.downlink.energy import ALMOST_BLANK, VARIANTS, energy_plan, known_signals
from bandwatch.lte.downlink.grid import lay_out_frame
from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.downlink.subframes import PATTERN_SUBFRAMES, Role, subframe_pattern
from bandwatch.lte.downlink.symbols import BLOCK_FRAMES, DownlinkSymbols
from bandwatch.lte.downlink.traffic import Traffic
from bandwatch.lte.numerology import FRAME_SUBFRAMES, Numerology

BLOCK_SUBFRAMES: Final = BLOCK_FRAMES * FRAME_SUBFRAMES
"""Subframes in a piece of 40 ms."""


class Downlink:
    """The endless sequence of a cell's subframes.

    Attributes:
        plan: The mean energy of each resource element, for what is served.
        known: complex64 [ports, 10, 14, subcarriers], the reference and synchronisation signals of every frame.

    Raises:
        InvalidArgumentError: The configuration cannot be simulated.
    """

    def __init__(self, config: CellConfig, seed: np.random.SeedSequence) -> None:
        traffic, symbols = (np.random.Generator(np.random.SFC64(child)) for child in seed.spawn(2))
        Numerology(config.resource_blocks)
        pattern = subframe_pattern(config)
        layout = lay_out_frame(config, pattern)
        self.known = known_signals(layout, config.reference_boost_db)
        self._control = ControlRegion(config, pattern)
        self.plan = energy_plan(config, pattern, layout, self._control)
        self._almost_blank = np.array([role is Role.ALMOST_BLANK for role in pattern.roles])
        self._traffic = Traffic(config.resource_blocks, config.load, pattern, traffic)
        self._symbols = DownlinkSymbols(config, layout.broadcast, self._control, self.plan, self.known, symbols)
        self._subframe = 0

    def set_load(self, load: float) -> None:
        """Change the share of the resource blocks that users ask for from now on.

        Raises:
            InvalidArgumentError: The load is outside 0 to 1.
        """
        self._traffic.set_load(load)

    def next_service(self, subframes: int) -> Service:
        """Return what is served in the next subframes; no symbols are drawn for it.

        An almost blank subframe that has to carry system information or a page announces it as usual (TS 36.300,
        16.1.5), so it is then of an ordinary kind.
        """
        schedule = self._traffic.next_subframes(subframes)
        at = self._subframe + np.arange(subframes)
        self._subframe += subframes
        numbers = at % FRAME_SUBFRAMES
        size, share = self._control.sizes_for(schedule.grants, numbers)
        silent = self._almost_blank[at % PATTERN_SUBFRAMES] & (schedule.grants == 0)
        return Service(numbers * VARIANTS + np.where(silent, ALMOST_BLANK, size), share, schedule.blocks)

    def grids_of(self, service: Service) -> NDArray[np.complex64]:
        """Return symbols for that service, complex64 [ports, n x 14, subcarriers].

        The mean of their squared magnitude is `plan.energies(service)`. Services come in the order of their subframes.
        """
        return self._symbols.next_grids(service)

    def next_grid(self) -> NDArray[np.complex64]:
        """Return the resource elements of the next 40 ms, complex64 [ports, 560, subcarriers]."""
        return self.grids_of(self.next_service(BLOCK_SUBFRAMES))
