"""A known anomaly in the observer's own stream, to see that the way from the radio to the incident works."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.spectrogram.bands import Band
from observer_agent.receivers.blocks import FrameReceiver, Receiver

_DURATION_S: Final = 2.0
_AFTERMATH_S: Final = 0.5
"""How long windows and scores may still show what was mixed in."""
_RATIO_DB: Final = 10.0
"""Power over that of the cell: no model may miss it."""
_OFDM_NEEDS_HZ: Final = 1.5e6
_OFFSET_SHARE: Final = 1 / 8
_SEED: Final = 0


class Injection:
    """Two seconds of a foreign transmitter, an eighth of the band above its centre, from a sample of the stream on.

    It is OFDM of 1 MHz, or a carrier of 200 kHz where the band is narrow. Everything until half a second after it
    belongs to the self-test of that name.

    Raises:
        InvalidArgumentError: The receiver cannot show it.
    """

    def __init__(self, name: str, receiver: Receiver, band: Band, first_sample: int) -> None:
        self.name = name
        rate_hz = receiver.sample_rate_hz
        start_s = first_sample / rate_hz
        kind = "ofdm-1mhz" if band.width_hz >= _OFDM_NEEDS_HZ else "qpsk-200khz"
        offset_hz = band.center_hz - receiver.center_hz + _OFFSET_SHARE * band.width_hz
        anomaly = Anomaly(kind, start_s, start_s + _DURATION_S, _RATIO_DB, offset_hz)
        self._mixer = AnomalyMixer([anomaly], rate_hz, _SEED)
        self._end_sample = first_sample + round((_DURATION_S + _AFTERMATH_S) * rate_hz)

    def mix(self, iq: NDArray[np.complex64], first_sample: int) -> NDArray[np.complex64]:
        """Return samples complex64 [n] with what is due mixed in."""
        return self._mixer.mix(iq, first_sample)

    def is_over(self, sample: int) -> bool:
        """Tell whether nothing from this sample on belongs to it."""
        return sample >= self._end_sample


def begin(name: str, receiver: Receiver, band: Band, first_sample: int) -> Injection | None:
    """Return the injection of a self-test, or nothing where this receiver cannot show it."""
    if isinstance(receiver, FrameReceiver):
        return None
    try:
        return Injection(name, receiver, band, first_sample)
    except InvalidArgumentError:
        return None
