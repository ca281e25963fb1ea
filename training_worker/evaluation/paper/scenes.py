"""Which stretches of time are heard, and by whom: days, hours and minutes, thinned out."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.network.network import Network

DAY_S: Final = 86_400.0
"""Seconds of a day."""
HOUR_S: Final = 3600.0
"""Seconds of an hour."""
ALL_HOURS: Final = tuple(range(24))
"""Hours of a day."""
_MINUTES_APART_S: Final = 997.0  # places within the hour change from stretch to stretch
_LATEST_IN_HOUR_S: Final = 3000.0

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What one observer hears in one stretch of time, in seconds since the midnight of day 0."""

    observer: str
    start_s: float
    seconds: float
    anomaly: Anomaly | None = None
    episode: int = 0


def day(
    observers: Sequence[str],
    number: int,
    total_s: float,
    stretch_s: float,
    hours: Sequence[int] = ALL_HOURS,
    episode: int = 0,
) -> tuple[Scene, ...]:
    """Return stretches that are spread over the hours of a day, which the observers hear in turn.

    Args:
        observers: Who hears.
        number: Of the day.
        total_s: Sum of all stretches; there is at least one for each hour.
        stretch_s: Of each.
        hours: Of the day that count.
        episode: Another one is another course of events.
    """
    count = max(round(total_s / stretch_s), len(hours))
    return tuple(
        Scene(
            observer=observers[at % len(observers)],
            start_s=number * DAY_S
            + hours[at * len(hours) // count] * HOUR_S
            + (at + 31 * number) * _MINUTES_APART_S % _LATEST_IN_HOUR_S,
            seconds=total_s / count,
            episode=episode,
        )
        for at in range(count)
    )


def interval(
    observers: Sequence[str], start_s: float, length_s: float, count: int, stretch_s: float, episode: int = 0
) -> tuple[Scene, ...]:
    """Return stretches that are spread over an interval of time, which the observers hear in turn."""
    return tuple(
        Scene(observers[at % len(observers)], start_s + at * length_s / count, stretch_s, episode=episode)
        for at in range(count)
    )


def seconds_of(scenes: Iterable[Scene]) -> float:
    """Return how long all stretches are together."""
    return sum(scene.seconds for scene in scenes)


def hearing_s(scenes: Sequence[Scene]) -> float:
    """Return about how long it takes to simulate what is heard, on one core."""
    return 0.04 * len(scenes) + 0.12 * seconds_of(scenes)


def hour_of(scene: Scene) -> int:
    """Return the hour of the day in which a scene begins."""
    return int(scene.start_s % DAY_S // HOUR_S)


class Listener:
    """Hears scenes of a network, and remembers the latest of them.

    Args:
        network: The network.
        remembered_bytes: How much to remember.
    """

    def __init__(self, network: Network, remembered_bytes: int = 256 << 20) -> None:
        self._network = network
        self._remembered: OrderedDict[Scene, Codes] = OrderedDict()
        self._left_bytes = remembered_bytes

    def hear(self, scene: Scene) -> Codes:
        """Return the frames of a scene, uint8 [n, 128], not to be written to."""
        if scene not in self._remembered:
            anomalies = () if scene.anomaly is None else (scene.anomaly,)
            codes = self._network.frames(scene.observer, scene.start_s, scene.seconds, anomalies, scene.episode)
            codes.setflags(write=False)
            self._remembered[scene] = codes
            self._left_bytes -= codes.nbytes
        self._remembered.move_to_end(scene)
        while self._left_bytes < 0 and len(self._remembered) > 1:
            self._left_bytes += self._remembered.popitem(last=False)[1].nbytes
        return self._remembered[scene]
