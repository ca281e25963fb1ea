"""A simulated LTE cell as a receiver."""

import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig
from observer_agent.receivers.blocks import BLOCK_SECONDS, Block
from observer_agent.receivers.json_files import read_json_file

_DATATYPE: Final = "cf32_le"
_CELL_FIELDS: Final = {field.name for field in fields(CellConfig)}


class Simulation(BaseModel):
    """What the JSON file of a simulated cell says: the fields of `CellConfig`, the way from it, and the times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell_identity: Annotated[int, Field(ge=0, le=503)]
    resource_blocks: Annotated[int, Field(gt=0)] = 25
    load: Annotated[float, Field(ge=0, le=1)] = 0.5
    duplex: Literal["fdd", "tdd"] = "fdd"
    tdd_configuration: Annotated[int, Field(ge=0, le=6)] = 2
    special_subframe: Annotated[int, Field(ge=0, le=8)] = 7
    ports: Annotated[int, Field(ge=1, le=2)] = 1
    mbsfn_subframes: frozenset[int] = frozenset()
    almost_blank_subframes: Annotated[str, Field(pattern="^([01]{40})?$")] = ""
    reference_boost_db: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    data_offset_db: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    mobility: Literal["static", "walking", "driving"] = "static"
    signal_to_noise_db: Annotated[float, Field(allow_inf_nan=False)] = 30.0
    carrier_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    seed: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    start_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @classmethod
    def read(cls, path: Path) -> "Simulation":
        """Read a simulation from its JSON file.

        Raises:
            NotFoundError: There is no such file.
            InvalidArgumentError: Its content is of another form.
        """
        return read_json_file(path, cls)


class SimulatedReceiver:
    """Receives a cell that the same file always describes alike, sample by sample."""

    gain_db: float | None = None

    def __init__(self, simulation: Simulation) -> None:
        config = CellConfig(**simulation.model_dump(include=_CELL_FIELDS))
        channel = ChannelConfig(
            mobility=simulation.mobility,
            signal_to_noise_db=simulation.signal_to_noise_db,
            carrier_hz=simulation.carrier_hz,
        )
        self._cell = SimulatedCell(config, channel, simulation.seed)
        self._simulation = simulation
        self.description = f"simulated cell {simulation.cell_identity}, {simulation.mobility}"
        self.sample_rate_hz = float(self._cell.sample_rate_hz)
        self.center_hz = simulation.carrier_hz

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks of a tenth of a second, without end unless the simulation names one."""
        length = round(BLOCK_SECONDS * self.sample_rate_hz)
        self._leave_out(round(self._simulation.start_seconds * self.sample_rate_hz), length, stop)
        left = None if self._simulation.seconds is None else round(self._simulation.seconds * self.sample_rate_hz)
        first = 0
        while not stop.is_set() and left != 0:
            count = length if left is None else min(length, left)
            iq = self._cell.read(count)
            yield Block(np.ascontiguousarray(iq, dtype="<c8").tobytes(), _DATATYPE, first, count)
            first += count
            left = None if left is None else left - count

    def _leave_out(self, count: int, length: int, stop: threading.Event) -> None:
        for start in range(0, count, length):
            if stop.is_set():
                return
            self._cell.read(min(length, count - start))
