"""Networks of cells and observers, described by a small file: who hears what, where and when.

The same description gives the same radio: as frames without samples, and as samples, for checks and for receivers.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.network.description import NetworkDescription, by_id, describe_network
from bandwatch.lte.network.frames import scene_frames
from bandwatch.lte.network.samples import SceneSamples
from bandwatch.lte.network.scene import Scene, SceneBuilder
from bandwatch.spectrogram.bands import FRAME_SECONDS


class Network:
    """A network that can be listened to at any time.

    Attributes:
        description: What the file says.
    """

    def __init__(self, description: NetworkDescription) -> None:
        self.description = description
        self._observers = by_id("observer", description.observers)

    def frames(
        self, observer_id: str, start_s: float, seconds: float, anomalies: Sequence[Anomaly] = (), episode: int = 0
    ) -> NDArray[np.uint8]:
        """Return what an observer hears as frames in half-dB codes over -120 dB of full scale, uint8 [n, 128].

        The same arguments give the same frames. Observers of one cell hear the same traffic at the same time; what
        begins at another time, or in another episode, is another course of events at the same place and load.

        Args:
            observer_id: Who listens.
            start_s: From when on, in seconds since the midnight of day 0; a cell's clock counts milliseconds.
            seconds: For how long.
            anomalies: What goes wrong beside the anomalies of the network, in seconds since the start.
            episode: 0 or more.

        Raises:
            NotFoundError: There is no such observer.
            InvalidArgumentError: A time or the episode makes no sense, or anomalies overlap or cannot be seen.
        """
        if not 0 <= seconds < float("inf"):
            raise InvalidArgumentError(f"{seconds} s cannot be listened to: give 0 or more")
        return scene_frames(self._scene(observer_id, start_s, anomalies, episode)).read(round(seconds / FRAME_SECONDS))

    def samples(
        self, observer_id: str, start_s: float, anomalies: Sequence[Anomaly] = (), episode: int = 0
    ) -> SceneSamples:
        """Return what an observer hears as a stream of samples around the middle of its band.

        It holds the same traffic and the same fading as the frames of the same arguments; symbols and noise differ.

        Raises:
            NotFoundError: There is no such observer.
            InvalidArgumentError: The time or the episode makes no sense, or anomalies overlap or cannot be seen.
        """
        return SceneSamples(self._scene(observer_id, start_s, anomalies, episode))

    def _scene(self, observer_id: str, start_s: float, anomalies: Sequence[Anomaly], episode: int) -> Scene:
        """Return what an observer hears."""
        if observer_id not in self._observers:
            raise NotFoundError(f"there is no observer {observer_id!r}: choose from {', '.join(self._observers)}")
        if not 0 <= start_s < float("inf") or episode < 0:
            raise InvalidArgumentError(f"a start at {start_s} s in episode {episode} makes no sense: give 0 or more")
        return SceneBuilder(self.description, self._observers[observer_id], start_s, episode).scene(anomalies)


def parse_network(text: str) -> Network:
    """Return the network that a file in TOML describes.

    Raises:
        InvalidArgumentError: It describes none; the sentence says what is at fault.
    """
    return Network(describe_network(text))


def read_network(path: Path) -> Network:
    """Return the network that a file describes.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: It describes no network; the sentence says what is at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from error
    try:
        return parse_network(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{path}: {error.message}") from error


def paper_network() -> Network:
    """Return the network that comes with Bandwatch: the bands of the seed paper."""
    return parse_network(files("bandwatch.lte.network").joinpath("paper.toml").read_text(encoding="utf-8"))
