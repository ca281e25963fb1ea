"""The uplink of a simulated LTE cell as an observer near the street receives it: many weak users, who come in bursts.

Source: 3GPP TS 36.211, 5.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, Numerology
from bandwatch.lte.radio.stream import SampleStream
from bandwatch.lte.uplink.config import UplinkConfig, check_load
from bandwatch.lte.uplink.energy import Sending, Transmission, received_energies
from bandwatch.lte.uplink.schedule import Places, UplinkSchedule
from bandwatch.lte.uplink.symbols import UplinkSymbols, subcarrier_hz
from bandwatch.lte.uplink.users import UplinkUsers

__all__ = ["SimulatedUplink", "Transmission", "Uplink", "UplinkConfig"]

_BLOCK_SUBFRAMES: Final = 40


class Uplink:
    """The endless sequence of what is received of a cell's users; the same seed and calls give the same sequence."""

    def __init__(self, config: UplinkConfig, seed: np.random.SeedSequence) -> None:
        users, schedule, content = seed.spawn(3)
        numerology = Numerology(config.resource_blocks)
        block_hz = subcarrier_hz(numerology).reshape(-1, BLOCK_SUBCARRIERS).mean(axis=1)
        latest_s = numerology.prefixes[1] / numerology.sample_rate_hz / 2
        self._users = UplinkUsers(config.users, config.carrier_hz, latest_s, block_hz, np.random.default_rng(users))
        self._schedule = UplinkSchedule(config, schedule)
        rng = np.random.Generator(np.random.SFC64(content))
        self._symbols = UplinkSymbols(config.cell_identity, numerology, self._users.delays_s, rng)
        self._subframe = 0

    def set_load(self, load: float) -> None:
        """Change the load; sessions that have begun go on.

        Raises:
            InvalidArgumentError: The load is outside 0 to 1.
        """
        check_load(load)
        self._schedule.traffic.load = load

    def next_transmission(self, subframes: int) -> Transmission:
        """Return what is received in the next subframes.

        Raises:
            InvalidArgumentError: The number is less than 1.
        """
        if subframes < 1:
            raise InvalidArgumentError(f"cannot simulate {subframes} subframes: ask for 1 or more")
        schedule = self._schedule.next_subframes(subframes)
        data, control, sounding, random_access = self._received(
            [schedule.data, schedule.control, schedule.sounding, schedule.random_access]
        )
        self._subframe += subframes
        energies, unbroken = received_energies(data, control, sounding, random_access, schedule.sounded)
        return Transmission(energies, unbroken, data, control, sounding, random_access, schedule.sounded)

    def samples_of(self, transmission: Transmission) -> NDArray[np.complex64]:
        """Draw samples of a transmission, complex64 [samples]; their expected energies are those of the transmission.

        Energies of 1 everywhere are samples of unit mean power.
        """
        return self._symbols.samples(transmission)

    def _received(self, channels: list[Places]) -> list[Sending]:
        """Add the gains in the middle of the subframes; to compute those of all channels at once takes less time."""
        subframe = np.concatenate([places.subframe for places in channels])
        user = np.concatenate([places.user for places in channels])
        gains = self._users.gains(user, (self._subframe + subframe + 0.5) * 1e-3)
        ends = np.cumsum([len(places.user) for places in channels])
        return [Sending(places, part) for places, part in zip(channels, np.split(gains, ends[:-1]), strict=True)]


class SimulatedUplink(SampleStream):
    """What a receiver tuned to the middle of the uplink hears; the same seed gives the same stream.

    Args:
        config: The uplink.
        signal_to_noise_db: Power of a resource element in use, in the mean over users and their fading, over the noise
            in it.
        level_dbfs: Mean power that the uplink would have with every resource element in use, relative to full scale.
        seed: Where chance begins.

    Raises:
        InvalidArgumentError: The ratio or the level is not finite.
    """

    def __init__(self, config: UplinkConfig, signal_to_noise_db: float, level_dbfs: float, seed: int) -> None:
        if not (math.isfinite(signal_to_noise_db) and math.isfinite(level_dbfs)):
            raise InvalidArgumentError("the signal-to-noise ratio and the level must be finite decibels")
        received, noise = np.random.SeedSequence(seed).spawn(2)
        super().__init__(Numerology(config.resource_blocks), level_dbfs - signal_to_noise_db, noise)
        self._uplink = Uplink(config, received)
        self._level = np.float32(10 ** (level_dbfs / 20))

    def _next_signal(self) -> NDArray[np.complex64]:
        """Return the samples of the next 40 ms without noise."""
        samples = self._uplink.samples_of(self._uplink.next_transmission(_BLOCK_SUBFRAMES))
        samples *= self._level
        return samples
