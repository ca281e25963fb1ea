"""The tables of a file about a network: bands, cells, observers and anomalies."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.network.load import DailyLoad
from bandwatch.lte.uplink.config import UplinkConfig

Name = Annotated[str, Field(min_length=1)]
"""What a table is called elsewhere in the file."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
"""Any number."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A number above zero."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""
Place = tuple[Finite, Finite]
"""Metres to the east and to the north of some point."""


class Entry(BaseModel):
    """A table of the file; a key that nothing reads is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BandEntry(Entry):
    """A slice of spectrum: its cells are in the middle of it, and its observers are tuned to that.

    Attributes:
        id: Its name.
        center_hz: The middle.
        width_hz: What frames show.
        direction: Who sends: cells or users.
        duplex: "fdd", or "tdd" where cells and users take turns.
    """

    id: Name
    center_hz: Positive
    width_hz: Positive = 5e6
    direction: Literal["downlink", "uplink"] = "downlink"
    duplex: Literal["fdd", "tdd"] = "fdd"


class CellEntry(Entry):
    """A cell. Keys that are not explained here are those of `CellConfig`.

    Attributes:
        id: Its name.
        band: Its band.
        identity: Physical-layer identity, 0 to 503.
        position_m: Where its antenna is, or the middle of its users.
        power_dbm: What the antenna is fed with every resource element in use, or all users together.
        load_day: Load at the busiest hour.
        load_night: Load at the quietest hour.
        growth_per_week: By how much of itself the load grows in a week.
        users: Of an uplink, how many can be heard.
    """

    id: Name
    band: Name
    identity: Annotated[int, Field(ge=0, le=503)]
    resource_blocks: Literal[6, 15, 25, 50] = 25
    position_m: Place = (0.0, 0.0)
    power_dbm: Finite = 43.0
    load_day: Share = 0.6
    load_night: Share = 0.1
    growth_per_week: Annotated[float, Field(gt=-1, allow_inf_nan=False)] = 0.0
    ports: Literal[1, 2] = 1
    tdd_configuration: Annotated[int, Field(ge=0, le=6)] = 2
    special_subframe: Annotated[int, Field(ge=0, le=8)] = 7
    mbsfn_subframes: frozenset[int] = frozenset()
    almost_blank_subframes: str = ""
    reference_boost_db: Finite = 0.0
    data_offset_db: Finite = 0.0
    users: Annotated[int, Field(ge=1)] = 30

    @property
    def load(self) -> DailyLoad:
        """The load over days."""
        return DailyLoad(self.load_day, self.load_night, self.growth_per_week)

    def downlink(self, band: BandEntry) -> CellConfig:
        """Return what describes its downlink."""
        return CellConfig(
            cell_identity=self.identity,
            resource_blocks=self.resource_blocks,
            duplex=band.duplex,
            tdd_configuration=self.tdd_configuration,
            special_subframe=self.special_subframe,
            ports=self.ports,
            mbsfn_subframes=self.mbsfn_subframes,
            almost_blank_subframes=self.almost_blank_subframes,
            reference_boost_db=self.reference_boost_db,
            data_offset_db=self.data_offset_db,
        )

    def uplink(self, band: BandEntry) -> UplinkConfig:
        """Return what describes its uplink.

        Raises:
            InvalidArgumentError: It cannot be simulated.
        """
        return UplinkConfig(
            cell_identity=self.identity,
            resource_blocks=self.resource_blocks,
            users=self.users,
            duplex=band.duplex,
            tdd_configuration=self.tdd_configuration if band.duplex == "tdd" else None,
            carrier_hz=band.center_hz,
        )


class ObserverEntry(Entry):
    """A receiver, tuned to the band of its cell.

    Attributes:
        id: Its name.
        cell: Its cell; it hears others of the band too.
        position_m: Where it is, or the middle of the circle that it moves on.
        mobility: Whether it moves, and by what means.
        speed_mps: How fast, if not as usual.
        radius_m: Of the circle that it moves on.
        indoor: Whether walls are around it.
        antenna_db: Gain of both antennas less the losses of cables.
        noise_figure_db: Of the receiver.
        gain_db: Of the receiver; without any, 0 dBm at its input are full scale.
    """

    id: Name
    cell: Name
    position_m: Place
    mobility: Literal["static", "walking", "driving"] = "static"
    speed_mps: Positive | None = None
    radius_m: Positive = 100.0
    indoor: bool = False
    antenna_db: Finite = 0.0
    noise_figure_db: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 9.0
    gain_db: Finite = 30.0


class AnomalyEntry(Entry):
    """An anomaly at one observer, or at all observers of a cell; its keys are those of `Anomaly`.

    Attributes:
        start_s: When it begins, in seconds since the midnight of day 0.
        stop_s: When it ends.
    """

    observer: Name | None = None
    cell: Name | None = None
    kind: Name
    start_s: Finite
    stop_s: Finite
    ratio_db: Finite = 0.0
    offset_hz: Finite = 0.0
