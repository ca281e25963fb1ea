"""The commands of the console that register a network and its observers."""

import math
import shlex
from collections.abc import Sequence

from bandwatch.lte.network.description import NetworkDescription
from observer_agent.simulation.fleet import SimulatedObserver, radius_m, to_point


def registration_commands(network: NetworkDescription, fleet: Sequence[SimulatedObserver]) -> list[str]:
    """Return commands of a shell, which leave a join token for each observer in the folder `tokens`."""
    used = {observer.band.id for observer in fleet}
    commands: list[list[str]] = [["mkdir", "-p", "tokens"]]
    for band in network.bands:
        if band.id in used:
            center, width = f"{band.center_hz / 1e6:.10g}", f"{band.width_hz / 1e6:.10g}"
            tuned = ["--center-mhz", center, "--width-mhz", width, "--direction", band.direction]
            commands.append(["bandwatch", "bands", "create", band.id, *tuned])
    for cell in network.cells:
        if cell.band in used:
            middle, reach = to_point(cell.position_m), str(math.ceil(radius_m(cell, fleet)))
            place = [f"--latitude={middle.latitude_deg:.6f}", f"--longitude={middle.longitude_deg:.6f}"]
            commands.append(["bandwatch", "cells", "create", cell.id, "--band", cell.band, *place, "--radius", reach])
    for observer in fleet:
        entry = observer.entry
        stays = ["--cell", entry.cell, "--mobility", entry.mobility, "--trusted"]
        token = ["--token-out", f"tokens/{entry.id}.token"]
        commands.append(["bandwatch", "observers", "create", entry.id, *stays, *token])
    return [shlex.join(command) for command in commands]
