"""Frames without samples against frames made of samples: the same scene, many draws of symbols and noise.

The mean over N draws is itself uncertain: where the relative variance of a frame is v, by 4.34 sqrt(v / N) dB. With 12
draws that is 0.5 dB at 6 resource blocks, whose frames average 6 segments; with 4 draws it is 0.5 dB at 25 resource
blocks, whose frames average 19. What the direct way is off comes on top, in squares.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.lte.anomalies.effects import filter_taps
from bandwatch.lte.anomalies.kinds import DOWN_SHARES, KINDS
from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.lte.direct.anomalies import FramesWithAnomalies
from bandwatch.lte.direct.speckle import Speckle
from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.network.description import describe_network
from bandwatch.lte.network.frames import mean_frames, scene_bins
from bandwatch.lte.network.samples import SceneSamples
from bandwatch.lte.network.scene import Scene, SceneBuilder
from bandwatch.lte.uplink.energy import Transmission
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import FrameMaker

SECONDS = 0.32
SETTLED = 2  # frames in which a resampler still hears the silence before the stream
NETWORK = """
seed = 3

[[bands]]
id = "band"
center_hz = 881.5e6
width_hz = {width_hz}
duplex = "{duplex}"
direction = "{direction}"

[[cells]]
id = "cell"
band = "band"
identity = 7
resource_blocks = {resource_blocks}
{cell}

[[observers]]
id = "observer"
cell = "cell"
position_m = [{distance_m}, 0.0]
mobility = "{mobility}"
"""
SMALL = {"resource_blocks": 6, "width_hz": 1.92e6}
USUAL = {"resource_blocks": 25, "width_hz": 5e6}
SPARSE = f"""
mbsfn_subframes = [1, 2]
almost_blank_subframes = "{4 * "0000100000"}"
reference_boost_db = 3.0
data_offset_db = -3.0
"""
USERS = {"direction": "uplink", "cell": "power_dbm = 20.0", "distance_m": 300.0}


class Repeating:
    """A sender that serves the same over and over, with other symbols every time."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self._served: Any = None

    def next_service(self, subframes: int) -> Service:
        """Return what was served first."""
        if self._served is None:
            self._served = self._sender.next_service(subframes)
        service: Service = self._served
        return service

    def next_transmission(self, subframes: int) -> Transmission:
        """Return what was sent first."""
        if self._served is None:
            self._served = self._sender.next_transmission(subframes)
        transmission: Transmission = self._served
        return transmission

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sender, name)


@dataclass(frozen=True)
class TwoPaths:
    """Frames of one scene by both ways.

    Attributes:
        by_samples: float64 [draws, n, 128], power.
        mean: float64 [n, 128], what the direct way says its mean is.
        direct: float64 [draws, n, 128], power as the direct way draws it.
    """

    by_samples: NDArray[np.float64]
    mean: NDArray[np.float64]
    direct: NDArray[np.float64]

    def error_db(self) -> NDArray[np.float64]:
        """Return the direct mean less the mean over draws, float64 [n, 128]."""
        error: NDArray[np.float64] = 10 * np.log10(self.mean / self.by_samples.mean(axis=0))
        return error

    def uncertainty_db(self) -> float:
        """Return the root of the mean square that this error has because draws are few."""
        relative = self.by_samples / self.by_samples.mean(axis=0)
        return float(10 / np.log(10) * np.sqrt(relative.var(axis=0, ddof=1).mean() / len(relative)))

    def fluctuations_db(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how draws differ from the mean, [draws, n, 128], by samples and directly."""
        by_samples, direct = (10 * np.log10(draws / self.mean) for draws in (self.by_samples, self.direct))
        return by_samples, direct


def scene_of(anomalies: tuple[Anomaly, ...] = (), **changes: object) -> Scene:
    """Return what the observer hears at five in the afternoon, some 20 dB above the noise."""
    usual = {"duplex": "fdd", "direction": "downlink", "cell": "", "distance_m": 1500.0, "mobility": "static"}
    network = describe_network(NETWORK.format(**(SMALL | usual | changes)))
    return SceneBuilder(network, network.observers[0], start_s=17 * 3600.0, episode=0).scene(anomalies)


def draws_of_samples(draws: int, **changes: Any) -> list[NDArray[np.complex64]]:
    """Return the same service over and over, with other symbols and other noise."""
    scene = scene_of((), **changes)
    cells: Any = [replace(heard, cell=cast("Any", Repeating(heard.cell))) for heard in scene.downlinks]
    users = scene.uplink and replace(scene.uplink, users=cast("Any", Repeating(scene.uplink.users)))
    repeating = replace(scene, downlinks=tuple(cells), uplink=users)
    count = round(SECONDS * scene.numerology.sample_rate_hz)
    return [SceneSamples(repeating).read(count) for _ in range(draws)]


def as_power(iq: NDArray[np.complex64], scene: Scene) -> NDArray[np.float64]:
    """Return frames of samples in power, float64 [n, 128]."""
    band = Band(scene.band.center_hz, scene.band.width_hz)
    frames_db = FrameMaker(band, scene.numerology.sample_rate_hz, band.center_hz).push(iq)
    power: NDArray[np.float64] = 10 ** (frames_db[SETTLED:].astype(np.float64) / 10)
    return power


def direct(
    count: int, control: int | None, anomalies: tuple[Anomaly, ...] = (), **changes: object
) -> NDArray[np.float64]:
    """Return the mean of so many frames by the direct way, or a draw of them where there is a seed."""
    scene = scene_of(anomalies, **changes)
    bins, frames = scene_bins(scene), slice(SETTLED, SETTLED + count)
    rng = None if control is None else np.random.Generator(np.random.SFC64(control))
    powers = FramesWithAnomalies(mean_frames(scene, bins, rng), anomalies, bins).next_block()
    if control is None:
        return powers.mean[frames].astype(np.float64)
    drawn_db = Speckle(bins, np.random.SeedSequence(control)).draw_db(powers)[frames]
    drawn: NDArray[np.float64] = 10 ** (drawn_db.astype(np.float64) / 10)
    return drawn


def two_paths(draws: int, **changes: Any) -> TwoPaths:
    """Return frames of a scene by both ways."""
    scene = scene_of(**changes)
    by_samples = np.stack([as_power(iq, scene) for iq in draws_of_samples(draws, **changes)])
    count = by_samples.shape[1]
    drawn = np.stack([direct(count, control, **changes) for control in range(3)])
    return TwoPaths(by_samples, direct(count, None, **changes), drawn)


def assert_the_same_mean(paths: TwoPaths, limit_db: float) -> None:
    """Allow so much in root mean square beside what few draws leave uncertain, and next to nothing over all."""
    error_db = paths.error_db()
    assert np.mean(error_db**2) < limit_db**2 + paths.uncertainty_db() ** 2
    assert abs(error_db.mean()) < 0.15


def neighbours(fluctuations_db: NDArray[np.float64]) -> float:
    """Return the correlation of neighbouring bins."""
    return float((fluctuations_db[:, :, 1:] * fluctuations_db[:, :, :-1]).mean() / np.square(fluctuations_db).mean())


@pytest.mark.parametrize(
    ("draws", "changes", "limit_db"),
    [
        (12, {}, 0.2),
        (12, {"duplex": "tdd"}, 0.2),
        (12, {"cell": SPARSE}, 0.2),
        (12, {"cell": "ports = 2"}, 0.2),
        (12, {"duplex": "tdd", **USERS}, 0.3),
        (4, {**USUAL, "mobility": "driving", "cell": "ports = 2"}, 0.2),
        (4, {**USUAL, **USERS}, 0.3),
        (5, {**SMALL, "resource_blocks": 25}, 0.45),
    ],
    ids=[
        "fdd",
        "tdd",
        "multicast and almost blank",
        "two ports",
        "users, tdd",
        "wider, two ports",
        "wider, users",
        "past the band",
    ],
)
def test_both_ways_have_the_same_mean_and_fluctuate_alike(draws: int, changes: dict[str, Any], limit_db: float) -> None:
    paths = two_paths(draws, **changes)
    assert_the_same_mean(paths, limit_db)
    expected, found = paths.fluctuations_db()
    assert found.std() == pytest.approx(expected.std(), rel=0.1)
    assert np.percentile(found, (5, 50, 95)) == pytest.approx(np.percentile(expected, (5, 50, 95)), abs=0.35)
    assert neighbours(found) == pytest.approx(neighbours(expected), abs=0.2)


def test_both_ways_have_the_same_mean_where_few_users_leave_most_of_a_band_empty() -> None:
    """What is seen of the empty part comes of few tones and fluctuates together, which the direct way does not know."""
    assert_the_same_mean(two_paths(12, **USERS), limit_db=0.3)


@pytest.fixture(scope="module")
def usual_samples() -> list[NDArray[np.complex64]]:
    """Give draws of the usual scene, for anomalies to be mixed into."""
    return draws_of_samples(8)


@pytest.mark.parametrize("kind", KINDS)
def test_an_anomaly_looks_the_same_in_frames_and_mixed_into_samples(
    kind: str, usual_samples: list[NDArray[np.complex64]]
) -> None:
    start_s, stop_s, is_outage = 0.1003, 0.2501, kind in DOWN_SHARES
    anomalies = (Anomaly(kind, start_s, stop_s, -15.0 if is_outage else -3.0, offset_hz=200e3),)
    scene = scene_of(anomalies)
    mixers = [AnomalyMixer(anomalies, scene.numerology.sample_rate_hz, seed, scene.band.width_hz) for seed in range(8)]
    mixed = [mixer.mix(iq, 0) for mixer, iq in zip(mixers, usual_samples, strict=True)]
    late = filter_taps(scene.numerology.sample_rate_hz) // 2 if is_outage else 0
    by_samples = np.stack([as_power(iq[late:], scene) for iq in mixed])
    count = by_samples.shape[1]
    paths = TwoPaths(by_samples, direct(count, None, anomalies), direct(count, 0, anomalies)[np.newaxis])
    first, last = (round(time_s / FRAME_SECONDS) - SETTLED for time_s in (start_s, stop_s))
    inside = slice(first + 1, last - 1)
    spectra = paths.mean[inside].mean(axis=0), paths.by_samples[:, inside].mean(axis=(0, 1))
    np.testing.assert_allclose(10 * np.log10(spectra[0] / spectra[1]), 0, atol=0.6)
    # Samples that an outage leaves over come 50 us late while it lasts, which frames without samples do not imitate.
    edges = [] if is_outage else [slice(first - 5, first + 6), slice(last - 5, last + 6)]
    for part in (inside, *edges):
        assert np.mean(paths.error_db()[part] ** 2) < 0.4**2 + paths.uncertainty_db() ** 2
    expected, found = (fluctuations[:, inside].std() for fluctuations in paths.fluctuations_db())
    assert found == pytest.approx(expected, rel=0.12)
