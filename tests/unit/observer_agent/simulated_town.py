"""A small network for tests of the simulator: two cells 600 m apart, three observers."""

from bandwatch.lte.network.description import NetworkDescription, describe_network
from observer_agent.simulation.fleet import SimulatedObserver, make_fleet
from observer_agent.simulation.radio import DutyCycle, SharedRadio

TOWN = """
seed = 3

[[bands]]
id = "b1890"
center_hz = 1890e6
width_hz = 1.92e6

[[cells]]
id = "oak-street"
band = "b1890"
identity = 7
resource_blocks = 6

[[cells]]
id = "elm-road"
band = "b1890"
identity = 8
resource_blocks = 6
position_m = [600.0, 0.0]

[[observers]]
id = "roof"
cell = "oak-street"
position_m = [50.0, 30.0]

[[observers]]
id = "yard"
cell = "elm-road"
position_m = [640.0, 20.0]

[[observers]]
id = "van"
cell = "oak-street"
position_m = [300.0, 0.0]
mobility = "driving"
radius_m = 300.0
speed_mps = 30.0
"""


def town() -> NetworkDescription:
    """Return the network."""
    return describe_network(TOWN)


def radio(listen_s: float, period_s: float, *, start_s: float = 0.0) -> SharedRadio:
    """Return the radio of that network, whose clock runs."""
    return SharedRadio(town(), DutyCycle(listen_s, period_s), start_s)


def observer(observer_id: str) -> SimulatedObserver:
    """Return an observer of that network."""
    return next(member for member in make_fleet(town(), 3) if member.entry.id == observer_id)
