"""How much energy a cell puts on each resource element, without the symbols themselves.

Both ways to simulate stand on this: samples multiply symbols of unit power with the root of it, and frames integrate
it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.numerology import BLOCK_SUBCARRIERS


@dataclass(frozen=True)
class Service:
    """What a cell serves in n subframes that follow one another.

    Attributes:
        kind: int64 [n], which kind of subframe of the plan each one is.
        control_share: float32 [n], share of the control elements that carry something, 0 to 1.
        blocks: float32 [n, resource_blocks], power of the data in each resource block, relative to the plan; 0 where
            nothing is served.
    """

    kind: NDArray[np.int64]
    control_share: NDArray[np.float32]
    blocks: NDArray[np.float32]


@dataclass(frozen=True)
class EnergyPlan:
    """The mean energy of each resource element by antenna port and kind of subframe.

    It is relative to the nominal power of an element in use, all ports together. A kind is a subframe of a frame
    together with the length of its control region, or almost blank.

    Attributes:
        fixed: float32 [ports, kinds, 14, subcarriers], what is always sent: synchronisation, broadcast, reference
            signals, format indicator.
        control: float32 [ports, kinds, 14, subcarriers], what a full control region adds.
        data: float32 [ports, kinds, 14, subcarriers], what data in every resource block add.
    """

    fixed: NDArray[np.float32]
    control: NDArray[np.float32]
    data: NDArray[np.float32]

    def energies(self, service: Service) -> NDArray[np.float32]:
        """Return the mean energy of every resource element, float32 [ports, n, 14, subcarriers]."""
        blocks = np.repeat(service.blocks, BLOCK_SUBCARRIERS, axis=1)[:, np.newaxis]
        control = service.control_share[:, np.newaxis, np.newaxis]
        kind = service.kind
        energies: NDArray[np.float32] = (
            self.fixed[:, kind] + control * self.control[:, kind] + blocks * self.data[:, kind]
        )
        return energies
