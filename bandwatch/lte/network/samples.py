"""A scene as samples: the slow way, which frames without samples are held against."""

import math

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies.timetable import AnomalyMixer
from bandwatch.lte.network.busy import BLOCK_SUBFRAMES
from bandwatch.lte.network.scene import HeardUplink, Scene
from bandwatch.lte.numerology import SLOT_SYMBOLS, SUBCARRIER_HZ
from bandwatch.lte.radio.stream import SampleStream


class SceneSamples(SampleStream):
    """What the observer's receiver, tuned to the middle of the band, delivers of a scene."""

    def __init__(self, scene: Scene) -> None:
        noise, anomalies = scene.chance.spawn(2)
        heard_hz = scene.numerology.subcarriers * SUBCARRIER_HZ
        super().__init__(scene.numerology, 10 * math.log10(scene.noise_density * heard_hz), noise)
        self._scene = scene
        self._mixer = AnomalyMixer(
            scene.timetable, self.sample_rate_hz, int(anomalies.generate_state(1)[0]), scene.band.width_hz
        )
        self._times_s = scene.numerology.symbol_times_s(2 * BLOCK_SUBFRAMES)
        self._blocks = 0

    def _next_block(self) -> NDArray[np.complex64]:
        """Return the samples of the next 320 ms, with noise and anomalies."""
        samples = super()._next_block()
        self._blocks += 1
        return self._mixer.mix(samples, (self._blocks - 1) * len(samples))

    def _next_signal(self) -> NDArray[np.complex64]:
        """Return the samples of the next 320 ms without noise."""
        uplink = self._scene.uplink
        return self._of_cells() if uplink is None else self._of_users(uplink)

    def _of_cells(self) -> NDArray[np.complex64]:
        """Return what is received of all cells."""
        numerology, times_s = self._scene.numerology, self._since_start_s()
        received = np.zeros((len(times_s), numerology.subcarriers), np.complex64)
        for heard in self._scene.downlinks:
            grids = heard.cell.grids_of(heard.cell.next_service(BLOCK_SUBFRAMES))
            received += (grids * heard.way.gains(times_s, numerology.subcarrier_hz())).sum(axis=0)
        received *= np.float32(np.sqrt(numerology.subcarriers))  # full grids of unit power are unit power
        return numerology.modulate(received).reshape(-1)

    def _of_users(self, uplink: HeardUplink) -> NDArray[np.complex64]:
        """Return what is received of users."""
        samples = uplink.users.samples_of(uplink.users.next_transmission(BLOCK_SUBFRAMES))
        numerology = self._scene.numerology
        element = uplink.way.gains(self._since_start_s(), np.zeros(1))[0, :, 0]
        of_slots = element[::SLOT_SYMBOLS] * np.float32(np.sqrt(numerology.subcarriers))
        received: NDArray[np.complex64] = samples * np.repeat(of_slots, numerology.slot_samples)
        return received

    def _since_start_s(self) -> NDArray[np.float64]:
        """Return when the symbols of this block begin, float64 [4480], since the stream began."""
        return self._blocks * BLOCK_SUBFRAMES * 1e-3 + self._times_s
