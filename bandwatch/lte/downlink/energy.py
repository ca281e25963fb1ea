"""The energy plan of a cell, from the layout of its frames and its control region.

Source: 3GPP TS 36.211, 6.3.4.3 and 6.6 to 6.11; TS 36.213, 5.2 and 7.1.7.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.control import SIZES, ControlRegion
from bandwatch.lte.downlink.grid import BROADCAST_SUBFRAME, FrameLayout
from bandwatch.lte.downlink.plan import EnergyPlan
from bandwatch.lte.downlink.subframes import SubframePattern
from bandwatch.lte.numerology import FRAME_SUBFRAMES, SUBFRAME_SYMBOLS

ALMOST_BLANK: Final = SIZES
"""Variant of a subframe that is almost blank; variants below it are the sizes of its control region."""
VARIANTS: Final = SIZES + 1
"""Kinds for each subframe of a frame: kind = number in the frame x VARIANTS + variant."""


def known_signals(layout: FrameLayout, reference_boost_db: float) -> NDArray[np.complex64]:
    """Return reference and synchronisation signals as they are sent, complex64 [ports, 10, 14, subcarriers]."""
    known = layout.reference * np.float32(10 ** (reference_boost_db / 20))
    known[0] += layout.synchronisation
    return known


def energy_plan(
    config: CellConfig, pattern: SubframePattern, layout: FrameLayout, control: ControlRegion
) -> EnergyPlan:
    """Return the plan of a cell.

    Two ports send half the power of control and data each (TS 36.211, 6.3.4.3), and port 0 alone synchronises. An
    almost blank subframe keeps reference signals, synchronisation and broadcast.

    Raises:
        InvalidArgumentError: An offset is not finite.
    """
    if not (math.isfinite(config.reference_boost_db) and math.isfinite(config.data_offset_db)):
        raise InvalidArgumentError("the power offsets of reference signals and data must be finite decibels")
    row = np.arange(SUBFRAME_SYMBOLS)[:, np.newaxis]
    in_control = row < control.symbols[:, np.newaxis, np.newaxis]
    free = layout.free[:, np.newaxis]
    indicator = free & (row == 0) & control.indicator
    with_data = np.array([pattern.carries_data(number) for number in range(FRAME_SUBFRAMES)])
    data = free & ~in_control & with_data[:, np.newaxis, np.newaxis, np.newaxis]
    always = np.abs(known_signals(layout, config.reference_boost_db)) ** 2
    always[:, BROADCAST_SUBFRAME].reshape(config.ports, -1)[:, layout.broadcast] = 1 / config.ports
    fixed = np.repeat(always[:, :, np.newaxis], VARIANTS, axis=2)
    fixed[:, :, :ALMOST_BLANK] += np.float32(1 / config.ports) * indicator
    return EnergyPlan(
        fixed=fixed.reshape(config.ports, -1, *fixed.shape[3:]),
        control=_shared(free & in_control & ~indicator, 1.0, config.ports),
        data=_shared(data, 10 ** (config.data_offset_db / 10), config.ports),
    )


def _shared(where: NDArray[np.bool_], energy: float, ports: int) -> NDArray[np.float32]:
    """Return an energy shared by all ports, float32 [ports, kinds, 14, subcarriers], from bool [10, sizes, 14, ...]."""
    shape = (ports, FRAME_SUBFRAMES, VARIANTS, *where.shape[2:])
    energies = np.zeros(shape, np.float32)
    energies[:, :, :ALMOST_BLANK] = where * np.float32(energy / ports)
    return energies.reshape(ports, -1, *where.shape[2:])
