"""What every desk of the AdminService works with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bandwatch.artifacts.blobs import Blobs
from bandwatch.identity.keyring import Keyring
from coordinator.jobs import Broker
from coordinator.registry.session import Registry
from coordinator.services.paging import PageRequest
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.releasing.rollouts import Rules
from coordinator.services.training.gate import DataRules


@dataclass(frozen=True)
class Tools:
    """The parts of a coordinator that desks use."""

    registry: Registry
    publisher: Publisher
    broker: Broker
    rules: DataRules
    segment_blobs: Blobs
    keyring: Callable[[], Keyring]
    rollouts: Rules


class Desk:
    """A part of the AdminService."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools


def page_of(request: Any) -> PageRequest:
    """Return which page a list request asks for."""
    return PageRequest(request.page_size, request.page_token)
