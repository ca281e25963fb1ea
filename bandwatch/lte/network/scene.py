"""What one observer of a network hears from some moment on, before it becomes frames or samples."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.direct.way import FadingWay, SteadyWay
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.downlink.subframes import PATTERN_SUBFRAMES
from bandwatch.lte.network.busy import BusyDownlink, BusyUplink
from bandwatch.lte.network.description import NetworkDescription, by_id, named
from bandwatch.lte.network.entries import BandEntry, CellEntry, ObserverEntry
from bandwatch.lte.network.place import Reception, Track
from bandwatch.lte.numerology import FRAME_SUBFRAMES, Numerology
from bandwatch.lte.radio.channel import Channel, ChannelConfig
from bandwatch.lte.radio.propagation import SHADOWING_DB, Shadowing, level_dbfs, noise_dbm
from bandwatch.lte.uplink.signal import Uplink

_PROFILES: Final = {"static": ("epa",), "walking": ("epa",), "driving": ("eva", "etu")}
_MOST_NEIGHBOURS: Final = 2
_FAINTEST_DB: Final = 0.0  # of a neighbour over noise, to be worth simulating


@dataclass(frozen=True)
class HeardDownlink:
    """A cell that is heard.

    Attributes:
        cell: The cell.
        config: What describes it.
        way: From its antennas to the observer.
        first_subframe: Number, in its radio frame, of the subframe that the stream begins with.
    """

    cell: BusyDownlink
    config: CellConfig
    way: FadingWay
    first_subframe: int


@dataclass(frozen=True)
class HeardUplink:
    """Users that are heard, whose fading is their own.

    Attributes:
        users: The users.
        way: From where they are to the observer.
    """

    users: BusyUplink
    way: SteadyWay


@dataclass(frozen=True)
class Scene:
    """All that an observer hears.

    Attributes:
        band: The band, whose middle is the carrier of all that is heard.
        numerology: Of all that is heard.
        downlinks: Cells, its own first; none on an uplink band.
        uplink: Users of its cell, on an uplink band.
        noise_density: Power of the receiver's noise in a hertz, relative to full scale.
        timetable: Anomalies in stream time.
        chance: Where all that nobody else shares begins: symbols, noise.
    """

    band: BandEntry
    numerology: Numerology
    downlinks: tuple[HeardDownlink, ...]
    uplink: HeardUplink | None
    noise_density: float
    timetable: tuple[Anomaly, ...]
    chance: np.random.SeedSequence


@dataclass(frozen=True)
class SceneBuilder:
    """Makes scenes of a network.

    Attributes:
        network: The network.
        observer: Who hears.
        start_s: When the stream begins, since the midnight of day 0.
        episode: Another one is another course of events at the same time and place.
    """

    network: NetworkDescription
    observer: ObserverEntry
    start_s: float
    episode: int

    def scene(self, anomalies: Sequence[Anomaly]) -> Scene:
        """Return what is heard, with the anomalies of the network and these, which are in stream time."""
        cell = named(by_id("cell", self.network.cells), self.observer.cell, "the observer")
        band = named(by_id("band", self.network.bands), cell.band, "the cell")
        noise_density_db = level_dbfs(noise_dbm(1.0, self.observer.noise_figure_db), self.observer.gain_db)
        is_uplink = band.direction == "uplink"
        return Scene(
            band=band,
            numerology=Numerology(cell.resource_blocks),
            downlinks=() if is_uplink else self._downlinks(cell, band, noise_density_db),
            uplink=self._uplink(cell, band) if is_uplink else None,
            noise_density=10 ** (noise_density_db / 10),
            timetable=(*self._timetable(cell), *anomalies),
            chance=self._seed("chance", self.observer.id, self.start_s, self.episode),
        )

    def _downlinks(self, own: CellEntry, band: BandEntry, noise_density_db: float) -> tuple[HeardDownlink, ...]:
        """Return the cell and the neighbours that stand out of the noise."""
        others = [cell for cell in self.network.cells if cell.band == band.id and cell.id != own.id]
        levels = {cell.id: float(self._reception(cell, band).level_db(np.zeros(1))[0]) for cell in others}
        width_hz = Numerology(own.resource_blocks).subcarriers * 15e3
        floor_db = noise_density_db + 10 * np.log10(width_hz) + _FAINTEST_DB
        others.sort(key=lambda cell: -levels[cell.id])
        heard = [cell for cell in others[:_MOST_NEIGHBOURS] if levels[cell.id] > floor_db]
        return tuple(self._downlink(cell, band) for cell in (own, *heard))

    def _downlink(self, entry: CellEntry, band: BandEntry) -> HeardDownlink:
        """Return one cell as it is heard."""
        config = entry.downlink(band)
        cell = Downlink(config, self._seed("traffic", entry.id, self.start_s, self.episode))
        beginning = int(self._seed("clock", entry.id).generate_state(1)[0]) + round(self.start_s * 1e3)
        cell.next_service(beginning % PATTERN_SUBFRAMES)
        busy = BusyDownlink(cell, entry.load, self.start_s)
        return HeardDownlink(busy, config, self._way(entry, band), beginning % FRAME_SUBFRAMES)

    def _way(self, cell: CellEntry, band: BandEntry) -> FadingWay:
        """Return the way from a cell; what stands around an observer is the same at any time."""
        subcarriers_hz = Numerology(cell.resource_blocks).subcarrier_hz()
        surroundings, *ports = self._seed("fading", self.observer.id, cell.id).spawn(1 + cell.ports)
        profiles = _PROFILES[self.observer.mobility]
        config = ChannelConfig(
            mobility=self.observer.mobility,
            signal_to_noise_db=0.0,  # nobody asks: the level and the noise say it
            carrier_hz=band.center_hz,
            shadowing_db=0.0,
            profile=profiles[int(surroundings.generate_state(1)[0]) % len(profiles)],
            speed_mps=Track.of(self.observer).speed_mps or None,
        )
        channels = [Channel(config, subcarriers_hz, np.zeros(1), 1.0, port) for port in ports]
        return FadingWay(channels, self._reception(cell, band).element_level_db, self.start_s)

    def _uplink(self, entry: CellEntry, band: BandEntry) -> HeardUplink:
        """Return the users of a cell as they are heard."""
        uplink = Uplink(entry.uplink(band), self._seed("users", entry.id, self.start_s, self.episode))
        busy = BusyUplink(uplink, entry.load, self.start_s)
        return HeardUplink(busy, SteadyWay(self._reception(entry, band).element_level_db))

    def _reception(self, cell: CellEntry, band: BandEntry) -> Reception:
        """Return how a cell is received; its shadows are the same for all observers."""
        shadowing = Shadowing(SHADOWING_DB, np.random.default_rng(self._seed("shadows", cell.id)))
        return Reception(self.observer, cell, band.center_hz, shadowing, self.start_s)

    def _timetable(self, cell: CellEntry) -> list[Anomaly]:
        """Return the anomalies of the network that concern the observer, in stream time."""
        return [
            Anomaly(
                entry.kind,
                max(entry.start_s - self.start_s, 0.0),
                entry.stop_s - self.start_s,
                entry.ratio_db,
                entry.offset_hz,
            )
            for entry in self.network.anomalies
            if (entry.observer == self.observer.id or entry.cell == cell.id) and entry.stop_s > self.start_s
        ]

    def _seed(self, *names: str | float) -> np.random.SeedSequence:
        """Return where chance begins for something of these names."""
        return np.random.SeedSequence([self.network.seed, *(zlib.crc32(repr(name).encode()) for name in names)])
