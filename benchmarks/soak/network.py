"""The network that a soak listens to, and what is registered and ordered for it."""

import math
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from bandwatch import names
from bandwatch.errors import BandwatchError
from bandwatch.lte.network.network import read_network
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1.model_pb2 import RolloutPlan
from bandwatch.wire.v1.policy_pb2 import Policy
from bandwatch.wire.v1.spectrum_pb2 import Mobility
from observer_agent.simulation import fleet
from observer_agent.simulation.fleet import make_fleet, radius_m, to_point
from operator_console.clients.cells import CellPlace
from operator_console.coordinator_client import AdminClient

EXAMPLE: Final = Path(fleet.__file__).with_name("example.toml")
TEACHING: Final = "fir"
"""The cell whose radio the teacher learns, so that every student of another cell beats it."""
TEACHER_DATA: Final = timedelta(seconds=3)
STUDENT_DATA: Final = timedelta(seconds=10)
STUDENT_LIFETIME: Final = timedelta(minutes=4)
_POLL_S: Final = 5.0
_EVERY_S: Final = 300
_LASTS_S: Final = 60
_FIRST_S: Final = 300

_MORE: Final = f"""
[[cells]]
id = "{TEACHING}"
band = "north"
identity = 271
position_m = [0.0, 3000.0]

[[observers]]
id = "{TEACHING}-roof"
cell = "{TEACHING}"
position_m = [60.0, 3080.0]

[[observers]]
id = "{TEACHING}-yard"
cell = "{TEACHING}"
position_m = [-70.0, 2950.0]
"""


def write_network(file: Path, minutes: float) -> None:
    """Write the example of the simulation with one more cell, and anomalies in turns in its two for so many minutes."""
    file.write_text(EXAMPLE.read_text() + _MORE + "".join(_anomalies(minutes)))


def _anomalies(minutes: float) -> Iterator[str]:
    for number, start_s in enumerate(range(_FIRST_S, math.ceil(minutes * 60), _EVERY_S)):
        cell = ("elm", "oak")[number % 2]
        times = f"start_s = {start_s}.0\nstop_s = {start_s + _LASTS_S}.0\n"
        yield f'\n[[anomalies]]\ncell = "{cell}"\nkind = "power-5db"\n{times}'


def register(client: AdminClient, network: Path, observers: int) -> list[str]:
    """Register band, cells, observers and policies, and return a join token for each observer."""
    description = read_network(network).description
    members = make_fleet(description, observers)
    for band in description.bands:
        client.create_band(band.id, center_hz=band.center_hz, width_hz=band.width_hz)
        client.create_policy("usual", _policy(names.bands.name(band.id), enabled=True))
    for cell in description.cells:
        middle = to_point(cell.position_m)
        place = CellPlace(middle.latitude_deg, middle.longitude_deg, radius_m(cell, members))
        client.create_cell(cell.id, band=names.bands.name(cell.band), place=place)
    client.create_policy("teaching", _policy(names.cells.name(TEACHING), enabled=False))
    return [
        client.create_observer(
            member.entry.id,
            cell=names.cells.name(member.entry.cell),
            mobility=Mobility.Value(f"MOBILITY_{member.entry.mobility.upper()}"),
            trusted=True,
        )[1]
        for member in members
    ]


def _policy(target: str, *, enabled: bool) -> Policy:
    return Policy(
        target=target,
        enabled=enabled,
        student_data=to_duration_message(STUDENT_DATA),
        student_lifetime=to_duration_message(STUDENT_LIFETIME),
        refit_on_drift=True,
        max_epochs=1,
        stride_frames=50,
        plan=RolloutPlan(at_once=True),
    )


def order_teacher(client: AdminClient, stop: threading.Event) -> None:
    """Order a teacher and its release as soon as there is radio for it; policies do the rest."""
    cell = names.cells.name(TEACHING)
    while not stop.wait(_POLL_S):
        with suppress(BandwatchError):
            if client.segment_totals(cell=cell).span < TEACHER_DATA:
                continue
            client.create_teacher_run(
                "bands/north",
                cells=[cell],
                family="linear",
                max_epochs=1,
                stride_frames=50,
                release_on_success=True,
                plan=RolloutPlan(at_once=True),
                run_id="teacher",
            )
            return
