"""Anomalies mixed into the samples of real recordings, as windows that a model is judged on.

Two ways in which windows meet an anomaly are judged. Standing: it is there all along from the end of the local data on,
in the input frames too. Sudden: it begins in the predicted part, and all that comes before is clean. Frames share no
samples, so frames of the anomalous samples that take the place of clean ones are what the receiver would have made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.kinds import DOWN_SHARES, POWER_STEPS_DB, is_visible
from bandwatch.lte.anomalies.timetable import KINDS, Anomaly, AnomalyMixer
from bandwatch.spectrogram.bands import FRAME_SECONDS, INPUT_FRAMES
from training_worker.evaluation.recordings import Recording, frames_in

DOWN_FLOOR_DB: Final = -30.0
"""Noise floor that a frequency which goes down leaves behind, relative to the cell."""
LATEST_FRAMES: Final = 10
"""A sudden anomaly begins in one of so many first target frames."""
STANDING: Final = "standing"
SUDDEN: Final = "sudden"
MODES: Final = (STANDING, SUDDEN)

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Injected:
    """An anomaly to mix in.

    Attributes:
        kind: One of `bandwatch.lte.anomalies.kinds.KINDS`.
        sir_db: Power of the cell over that of the interference; None for kinds that add none.
        offset_hz: As in `bandwatch.lte.anomalies.timetable.Anomaly`.
        seed: Makes random symbols and the places of sudden beginnings.
    """

    kind: str
    sir_db: float | None
    offset_hz: float
    seed: int

    @property
    def label(self) -> str:
        """Return what it is, as in "qpsk-200khz at 10 dB"."""
        return self.kind if self.sir_db is None else f"{self.kind} at {self.sir_db:g} dB"


def anomalies_of(
    kinds: Sequence[str], sirs_db: Sequence[float], offset_hz: float, sample_rate_hz: float, seed: int
) -> list[Injected]:
    """Return every kind at every ratio of signal to interference; outages and steps of power once.

    Raises:
        InvalidArgumentError: A kind is unknown, or nothing of it can be seen at that sample rate.
    """
    injected: dict[Injected, None] = {}
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidArgumentError(f"{kind!r} is no kind of anomaly: choose from {', '.join(KINDS)}")
        if not is_visible(kind, offset_hz, sample_rate_hz):
            raise InvalidArgumentError(f"nothing of {kind} at {offset_hz:g} Hz can be seen: name a smaller offset")
        adds = kind not in DOWN_SHARES and kind not in POWER_STEPS_DB
        injected |= {Injected(kind, sir_db, offset_hz, seed): None for sir_db in (sirs_db if adds else (None,))}
    return list(injected)


def standing_frames(recording: Recording, local_s: float, injected: Injected) -> Codes:
    """Return the frames of the rest with an anomaly that begins with it and stays.

    Its power is relative to that of the local data before it.
    """
    start_s = frames_in(local_s) * FRAME_SECONDS
    stop_s = start_s + len(recording.iq) / recording.sample_rate_hz
    ratio_db = DOWN_FLOOR_DB if injected.sir_db is None else -injected.sir_db
    anomaly = Anomaly(injected.kind, start_s, stop_s, ratio_db, injected.offset_hz)
    mixed = AnomalyMixer([anomaly], recording.sample_rate_hz, injected.seed).mix(recording.iq, 0)
    return recording.frames_of(mixed)[frames_in(local_s) :]


def begun_frames(recording: Recording, local_s: float, injected: Injected, standing: Codes) -> Codes:
    """Return the frames of the rest as they are right after the anomaly has begun, whichever frame it begins in.

    Those are the standing ones, but for a step of power: that lasts as long as half of the input frames, so
    whatever part of a window's target frames follows its beginning is one constant power.
    """
    if injected.kind not in POWER_STEPS_DB:
        return standing
    gain = np.float32(10 ** (POWER_STEPS_DB[injected.kind] / 20))
    return recording.frames_of(recording.iq * gain)[frames_in(local_s) :]


def sudden_windows(clean: Codes, anomalous: Codes, seed: int) -> Codes:
    """Return windows uint8 [n, 125, 128]: clean ones, and from a random early target frame on the anomalous ones."""
    first = INPUT_FRAMES + np.random.default_rng(seed).integers(0, LATEST_FRAMES, len(clean))
    begun = np.arange(clean.shape[1]) >= first[:, np.newaxis]
    return np.where(begun[:, :, np.newaxis], anomalous, clean)
