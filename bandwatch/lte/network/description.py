"""A file about a network as a whole: read, and checked against itself."""

import tomllib
from collections.abc import Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field, ValidationError

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.network.entries import AnomalyEntry, BandEntry, CellEntry, Entry, ObserverEntry

_Named = TypeVar("_Named", BandEntry, CellEntry, ObserverEntry)


class NetworkDescription(Entry):
    """What the file says.

    Attributes:
        seed: Where chance begins.
        bands: Slices of spectrum.
        cells: Who sends in them.
        observers: Who listens.
        anomalies: What goes wrong.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    bands: tuple[BandEntry, ...]
    cells: tuple[CellEntry, ...]
    observers: tuple[ObserverEntry, ...]
    anomalies: tuple[AnomalyEntry, ...] = ()


def describe_network(text: str) -> NetworkDescription:
    """Return what a file in TOML says about a network.

    Raises:
        InvalidArgumentError: It is no TOML, a table is of another form, refers to something that is not there, or
            describes what cannot be simulated; the sentence says which one.
    """
    try:
        network = NetworkDescription.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(f"the network is no TOML: {error}") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise InvalidArgumentError("the network is not of the form that is needed: " + "; ".join(faults)) from error
    bands, cells, observers = by_id("band", network.bands), by_id("cell", network.cells), network.observers
    by_id("observer", observers)
    for cell in network.cells:
        _check_cell(cell, named(bands, cell.band, f"cell {cell.id!r}"), network.cells)
    for observer in observers:
        named(cells, observer.cell, f"observer {observer.id!r}")
    for number, anomaly in enumerate(network.anomalies, start=1):
        _check_anomaly(anomaly, network, f"anomaly {number}")
    return network


def by_id(kind: str, entries: Sequence[_Named]) -> dict[str, _Named]:
    """Return entries by their names.

    Raises:
        InvalidArgumentError: Two have the same.
    """
    named: dict[str, _Named] = {}
    for entry in entries:
        if entry.id in named:
            raise InvalidArgumentError(f"there are two {kind}s {entry.id!r}: give each a name of its own")
        named[entry.id] = entry
    return named


def named(entries: dict[str, _Named], name: str, where: str) -> _Named:
    """Return the entry of a name.

    Raises:
        InvalidArgumentError: There is none.
    """
    if name not in entries:
        raise InvalidArgumentError(f"{where} names {name!r}, which is not there: choose from {', '.join(entries)}")
    return entries[name]


def _check_cell(cell: CellEntry, band: BandEntry, cells: Sequence[CellEntry]) -> None:
    """Refuse a cell that cannot be simulated."""
    try:
        if band.direction == "uplink":
            cell.uplink(band)
        else:
            Downlink(cell.downlink(band), np.random.SeedSequence(0))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"cell {cell.id!r}: {error.message}") from error
    if any(other.band == cell.band and other.resource_blocks != cell.resource_blocks for other in cells):
        raise InvalidArgumentError(f"the cells of band {band.id!r} differ in resource_blocks: make them alike")


def _check_anomaly(anomaly: AnomalyEntry, network: NetworkDescription, where: str) -> None:
    """Refuse an anomaly that is none or happens nowhere."""
    if (anomaly.observer is None) == (anomaly.cell is None):
        raise InvalidArgumentError(f"{where} needs either an observer or a cell")
    if anomaly.observer is not None:
        named(by_id("observer", network.observers), anomaly.observer, where)
    if anomaly.cell is not None:
        named(by_id("cell", network.cells), anomaly.cell, where)
    try:
        Anomaly(anomaly.kind, anomaly.start_s, anomaly.stop_s, anomaly.ratio_db, anomaly.offset_hz)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error.message}") from error
