"""What describes a simulated uplink."""

import math
from dataclasses import dataclass

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.numerology import Numerology
from bandwatch.lte.sequences import split_cell_identity
from bandwatch.lte.uplink.layout import UplinkLayout, lay_out_uplink


@dataclass(frozen=True)
class UplinkConfig:
    """The uplink of an LTE cell with the normal cyclic prefix.

    Attributes:
        cell_identity: Physical-layer identity, 0 to 503, which fixes the reference signals.
        resource_blocks: 6, 15, 25 or 50: the width of the cell in steps of 180 kHz.
        load: Share of the resource blocks that users ask for, 0 to 1, in subframes that are uplink.
        users: Users that the observer can hear.
        duplex: "fdd" or "tdd".
        tdd_configuration: Uplink-downlink configuration, 0 to 6 (table 4.2-2), of a TDD cell only.
        pucch_blocks: Resource blocks of each slot that belong to the control channel, half of them at either edge.
        srs_period: Subframes from one chance to sound to the next: 1, 2, 5 or 10.
        prach_period: Subframes from one chance of random access to the next: 5, 10 or 20.
        carrier_hz: Carrier frequency, which turns the users' speed into Doppler shift.

    Raises:
        InvalidArgumentError: A value makes no sense.
    """

    cell_identity: int
    resource_blocks: int = 25
    load: float = 0.5
    users: int = 30
    duplex: str = "fdd"
    tdd_configuration: int | None = None
    pucch_blocks: int = 2
    srs_period: int = 5
    prach_period: int = 10
    carrier_hz: float = 830e6

    def __post_init__(self) -> None:
        split_cell_identity(self.cell_identity)
        Numerology(self.resource_blocks)
        check_load(self.load)
        if self.users < 1 or self.pucch_blocks < 1:
            raise InvalidArgumentError("an uplink needs at least one user and one block of the control channel")
        if self.duplex not in {"fdd", "tdd"}:
            raise InvalidArgumentError(f"{self.duplex!r} is no duplex: choose fdd or tdd")
        if (self.duplex == "tdd") != (self.tdd_configuration is not None):
            raise InvalidArgumentError("give a TDD configuration to a TDD cell, and to no other")
        if not (math.isfinite(self.carrier_hz) and self.carrier_hz > 0):
            raise InvalidArgumentError(f"{self.carrier_hz} Hz is no carrier frequency: give a positive number of hertz")
        self.layout()

    def layout(self) -> UplinkLayout:
        """Return where the channels are."""
        return lay_out_uplink(
            self.resource_blocks, self.pucch_blocks, self.srs_period, self.prach_period, self.tdd_configuration
        )


def check_load(load: float) -> None:
    """Refuse a load that is no share.

    Raises:
        InvalidArgumentError: It is outside 0 to 1.
    """
    if not 0 <= load <= 1:
        raise InvalidArgumentError(f"a load of {load} makes no sense: give a share from 0 to 1")
