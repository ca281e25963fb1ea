"""Who is off: the observers of one cell compared with their own past and with one another. No database, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from coordinator.registry.policies import HealthFinding

FLOOR_STEP_DB: Final = 10.0
"""A noise floor that moved by more than this against the observer's own past is off."""
CLIPPED_SHARE: Final = 0.1
NOISE_ONLY_SHARE: Final = 0.9
_HEARS_SHARE: Final = 0.5
"""With less of its looks noise only, an observer heard something."""
_TIMES_FALSE_ALARMS: Final = 5.0
_LEAST_ANOMALOUS_SHARE: Final = 0.1


@dataclass(frozen=True)
class Reading:
    """What one observer reported lately. `anomalous_share` is absent where no release in force scored."""

    observer_id: str
    begin_at: datetime
    noise_floor_dbm: float
    clipped_share: float
    noise_only_share: float
    anomalous_share: float | None = None
    false_alarm_rate: float = 0.0


@dataclass(frozen=True)
class Past:
    """What was usual for an observer before."""

    noise_floor_dbm: float
    noise_only_share: float


@dataclass(frozen=True)
class Judged:
    """What was found out about an observer, and why, for people."""

    finding: HealthFinding
    reason: str = ""


def judge(readings: Sequence[Reading], past: Mapping[str, Past]) -> dict[str, Judged]:
    """Return what is to be said of each observer of one cell."""
    radio = {reading.observer_id: _radio_symptoms(reading, past, readings) for reading in readings}
    scores = {reading.observer_id: _score_symptoms(reading) for reading in readings}
    off = {observer for observer in radio if radio[observer] or scores[observer]}
    others = len(readings) - 1
    return {observer: _judged(radio[observer], scores[observer], len(off - {observer}), others) for observer in radio}


def _judged(radio: list[str], scores: list[str], others_off: int, others: int) -> Judged:
    symptoms = ", ".join([*radio, *scores])
    if not symptoms:
        return Judged(HealthFinding.GOOD)
    if others == 0:
        return Judged(HealthFinding.UNDECIDED, f"{symptoms}; it alone watches its cell")
    if 2 * others_off > others:
        return Judged(HealthFinding.SPECTRUM, f"{symptoms}; so are {others_off} of {others} others")
    if radio:
        return Judged(
            HealthFinding.SENSOR_FAULT, f"{symptoms}, while {others - others_off} of {others} others are fine"
        )
    return Judged(HealthFinding.UNDECIDED, f"{symptoms}, while its radio is sound; something may be near it")


def _radio_symptoms(reading: Reading, past: Mapping[str, Past], readings: Sequence[Reading]) -> list[str]:
    symptoms = []
    before = past.get(reading.observer_id)
    if reading.clipped_share > CLIPPED_SHARE:
        symptoms.append(f"{reading.clipped_share:.0%} of its samples clipped")
    if reading.noise_only_share >= NOISE_ONLY_SHARE and _should_hear(reading, before, readings):
        symptoms.append(f"no signal in {reading.noise_only_share:.0%} of its looks")
    if before is not None and abs(step_db := reading.noise_floor_dbm - before.noise_floor_dbm) > FLOOR_STEP_DB:
        symptoms.append(f"noise floor {abs(step_db):.0f} dB {'above' if step_db > 0 else 'below'} its own before")
    return symptoms


def _should_hear(reading: Reading, before: Past | None, readings: Sequence[Reading]) -> bool:
    """Tell whether a signal is to be expected: it was there before, or most of the others hear it."""
    if before is not None and before.noise_only_share < _HEARS_SHARE:
        return True
    others = [other.noise_only_share for other in readings if other.observer_id != reading.observer_id]
    return bool(others) and median(others) < _HEARS_SHARE


def _score_symptoms(reading: Reading) -> list[str]:
    share = reading.anomalous_share
    if share is None or share <= max(_LEAST_ANOMALOUS_SHARE, _TIMES_FALSE_ALARMS * reading.false_alarm_rate):
        return []
    return [f"{share:.0%} of its windows anomalous"]
