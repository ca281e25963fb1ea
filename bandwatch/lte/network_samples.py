"""A scene as samples: the slow way, which frames without samples are held against."""

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies import AnomalyMixer
from bandwatch.lte.network_busy import BLOCK_SUBFRAMES
from bandwatch.lte.network_scene import HeardUplink, Scene
from bandwatch.lte.numerology import SLOT_SYMBOLS


class SceneSamples:
    """What the observer's receiver, tuned to the middle of the band, delivers of a scene: an endless stream.

    Attributes:
        sample_rate_hz: Samples in a second.
    """

    def __init__(self, scene: Scene) -> None:
        self.sample_rate_hz = scene.numerology.sample_rate_hz
        self._scene = scene
        noise, anomalies = scene.chance.spawn(2)
        self._noise = np.random.Generator(np.random.SFC64(noise))
        self._noise_level = np.float32(np.sqrt(scene.noise_density * self.sample_rate_hz / 2))
        self._mixer = AnomalyMixer(
            scene.timetable, self.sample_rate_hz, int(anomalies.generate_state(1)[0]), scene.band.width_hz
        )
        self._times_s = scene.numerology.symbol_times_s(2 * BLOCK_SUBFRAMES)
        self._blocks = 0
        self._block = np.empty(0, np.complex64)

    def read(self, count: int) -> NDArray[np.complex64]:
        """Return the next samples, complex64 [count]; a full-scale tone has magnitude 1.

        Raises:
            InvalidArgumentError: The count is negative.
        """
        if count < 0:
            raise InvalidArgumentError(f"cannot read {count} samples: ask for 0 or more")
        pieces = [self._block[:count]]
        self._block = self._block[count:]
        missing = count - len(pieces[0])
        while missing:
            block = self._next_block()
            pieces.append(block[:missing])
            self._block = block[missing:]
            missing -= len(pieces[-1])
        return np.concatenate(pieces)

    def _next_block(self) -> NDArray[np.complex64]:
        """Return the samples of the next 320 ms."""
        uplink = self._scene.uplink
        samples = self._of_cells() if uplink is None else self._of_users(uplink)
        noise = self._noise.standard_normal(2 * len(samples), np.float32)
        noise *= self._noise_level
        samples += noise.view(np.complex64)
        self._blocks += 1
        return self._mixer.mix(samples, (self._blocks - 1) * len(samples))

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
        element = uplink.way.power_gains(self._since_start_s(), np.zeros(1))[0, :, 0]
        of_slots = np.sqrt(element[::SLOT_SYMBOLS] * np.float32(numerology.subcarriers))
        received: NDArray[np.complex64] = samples * np.repeat(of_slots, numerology.slot_samples)
        return received

    def _since_start_s(self) -> NDArray[np.float64]:
        """Return when the symbols of this block begin, float64 [4480], since the stream began."""
        return self._blocks * BLOCK_SUBFRAMES * 1e-3 + self._times_s
