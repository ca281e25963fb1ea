"""What describes a simulated cell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CellConfig:
    """An LTE cell with the normal cyclic prefix.

    What it says is checked where it is used: a `Downlink` refuses what cannot be simulated.

    Attributes:
        cell_identity: Physical-layer identity, 0 to 503, which fixes the synchronisation and reference signals.
        resource_blocks: 6, 15, 25 or 50: the width of the cell in steps of 180 kHz.
        load: Share of the resource blocks that users ask for, 0 to 1, in the subframes that may carry users' data.
        duplex: "fdd", or "tdd" for uplink and downlink in turn on one carrier (TS 36.211, 4.1 and 4.2).
        tdd_configuration: Which subframes are uplink, 0 to 6 (TS 36.211, table 4.2-2). Counts in TDD only.
        special_subframe: How long the downlink part of special subframes is, 0 to 8 (TS 36.211, table 4.2-1). Counts in
            TDD only.
        ports: Antenna ports, 1 or 2; two send control and data by transmit diversity (TS 36.211, 6.3.4.3).
        mbsfn_subframes: Numbers of the subframes of each frame that are multicast subframes (TS 36.211, 6.7 and
            6.10.1): 1, 2, 3, 6, 7 and 8 can be in FDD, and 3, 4, 7, 8 and 9 in TDD if they are downlink.
        almost_blank_subframes: 40 characters, 1 where a subframe is kept silent for the sake of neighbours and 0 where
            it is not, for every 40 subframes (TS 36.423, ABS Information); empty for none.
        reference_boost_db: Power of a reference signal's element over that of other elements.
        data_offset_db: Power of an element with data over that of other elements: the ratios rho_A and rho_B of
            TS 36.213, 5.2, which are one here.
    """

    cell_identity: int
    resource_blocks: int = 25
    load: float = 0.5
    duplex: str = "fdd"
    tdd_configuration: int = 2
    special_subframe: int = 7
    ports: int = 1
    mbsfn_subframes: frozenset[int] = frozenset()
    almost_blank_subframes: str = ""
    reference_boost_db: float = 0.0
    data_offset_db: float = 0.0
