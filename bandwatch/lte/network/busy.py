"""Cells and users whose load follows the hour."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.network.load import DailyLoad
from bandwatch.lte.uplink.energy import Transmission
from bandwatch.lte.uplink.signal import Uplink

BLOCK_SUBFRAMES: Final = 320
"""Subframes that are asked for at a time; what an uplink draws depends on that."""

_LOAD_SUBFRAMES: Final = 100 * BLOCK_SUBFRAMES  # after which a load follows the hour again


class BusyDownlink:
    """A downlink whose load follows the hour.

    Args:
        downlink: The downlink.
        load: Its load.
        start_s: When the stream begins, since the midnight of day 0.
    """

    def __init__(self, downlink: Downlink, load: DailyLoad, start_s: float) -> None:
        self.plan = downlink.plan
        self._downlink = downlink
        self._load = load
        self._start_s = start_s
        self._subframe = 0

    def next_service(self, subframes: int) -> Service:
        """Return what is served in the next subframes."""
        if self._subframe % _LOAD_SUBFRAMES == 0:
            self._downlink.set_load(self._load.at(self._start_s + self._subframe * 1e-3))
        self._subframe += subframes
        return self._downlink.next_service(subframes)

    def grids_of(self, service: Service) -> NDArray[np.complex64]:
        """Return symbols for that service, complex64 [ports, n x 14, subcarriers]."""
        return self._downlink.grids_of(service)


class BusyUplink:
    """An uplink whose load follows the hour.

    Args:
        uplink: The uplink.
        load: Its load.
        start_s: When the stream begins, since the midnight of day 0.
    """

    def __init__(self, uplink: Uplink, load: DailyLoad, start_s: float) -> None:
        self._uplink = uplink
        self._load = load
        self._start_s = start_s
        self._subframe = 0

    def next_transmission(self, subframes: int) -> Transmission:
        """Return what is received in the next subframes."""
        if self._subframe % _LOAD_SUBFRAMES == 0:
            self._uplink.set_load(self._load.at(self._start_s + self._subframe * 1e-3))
        self._subframe += subframes
        return self._uplink.next_transmission(subframes)

    def samples_of(self, transmission: Transmission) -> NDArray[np.complex64]:
        """Draw samples of a transmission, complex64 [samples]; full energies are samples of unit mean power."""
        return self._uplink.samples_of(transmission)
