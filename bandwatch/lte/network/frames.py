"""A scene as frames, without samples."""

import numpy as np

from bandwatch.lte.direct.anomalies import FramesWithAnomalies
from bandwatch.lte.direct.bins import BandBins, band_bins
from bandwatch.lte.direct.downlink import DATA_MAGNITUDE_VARIANCE, DownlinkPowers, downlink_known, downlink_templates
from bandwatch.lte.direct.frames import DirectFrames
from bandwatch.lte.direct.mean import FrameSource, Heard, MeanFrames
from bandwatch.lte.direct.speckle import Speckle
from bandwatch.lte.direct.uplink import UPLINK_MAGNITUDE_VARIANCE, UplinkPowers
from bandwatch.lte.network.scene import HeardDownlink, Scene
from bandwatch.lte.uplink.symbols import subcarrier_hz


def scene_frames(scene: Scene) -> DirectFrames:
    """Return the frames of a scene."""
    speckle, control = scene.chance.spawn(2)
    bins = scene_bins(scene)
    source = mean_frames(scene, bins, np.random.Generator(np.random.SFC64(control)))
    if scene.timetable:
        source = FramesWithAnomalies(source, scene.timetable, bins)
    return DirectFrames(source, Speckle(bins, speckle))


def scene_bins(scene: Scene) -> BandBins:
    """Return the bins of a scene's band."""
    variance = UPLINK_MAGNITUDE_VARIANCE if scene.uplink else DATA_MAGNITUDE_VARIANCE
    return band_bins(scene.band.width_hz, scene.numerology.sample_rate_hz, variance)


def mean_frames(scene: Scene, bins: BandBins, control: np.random.Generator | None) -> FrameSource:
    """Return the mean power of a scene's frames.

    Args:
        scene: The scene.
        bins: The bins of its band.
        control: Draws which element groups of control regions are filled; with None they are all filled in part.
    """
    if scene.uplink:
        users = UplinkPowers(scene.uplink.users, subcarrier_hz(scene.numerology), bins)
        return MeanFrames(bins, [Heard(users, scene.uplink.way)], scene.noise_density)
    heard = [Heard(_sender(one, bins, control), one.way) for one in scene.downlinks]
    return MeanFrames(bins, heard, scene.noise_density)


def _sender(heard: HeardDownlink, bins: BandBins, control: np.random.Generator | None) -> DownlinkPowers:
    """Return a cell as a sender."""
    templates = downlink_templates(heard.config, bins)
    known = downlink_known(heard.config, bins, heard.first_subframe)
    return DownlinkPowers(heard.cell, templates, known, control)
