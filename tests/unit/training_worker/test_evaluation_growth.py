"""Students that get better as local data grow."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bandwatch.spectrogram.windows import cut_windows
from tests.unit.training_worker.small_networks import new_hybrid
from training_worker.evaluation.growth import Grown, growth
from training_worker.learning import networks
from training_worker.learning.networks import LstmConfig

FAMILIES = (networks.HYBRID, networks.LSTM)

Codes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def grown(make_frames: Callable[[int, int], Codes]) -> list[Grown]:
    frames = make_frames(6000, 3)
    clean = frames[4000:]
    loud = cut_windows(clean, 25).copy()
    loud[:, 110:, 40:60] += 30
    teacher = new_hybrid(LstmConfig(2, 16), combinations=16)
    return growth(teacher, [frames[:4000]], [clean], {"loud": loud}, [0.2, 1.0], families=FAMILIES)


def test_there_is_a_student_of_every_family_for_every_amount(grown: list[Grown]) -> None:
    assert [(one.seconds, one.family) for one in grown] == [
        (seconds, family) for seconds in (0.2, 1.0) for family in FAMILIES
    ]


def test_more_local_data_make_a_lower_error_on_clean_windows(grown: list[Grown]) -> None:
    for few, many in zip(grown[:2], grown[2:], strict=True):
        assert many.error.mean_db < few.error.mean_db
        assert many.error.windows == few.error.windows == 76
        assert many.left_out.windows > few.left_out.windows


def test_an_anomaly_is_judged_by_every_score_and_found(grown: list[Grown]) -> None:
    for one in grown:
        assert sorted(one.detected["loud"]) == ["band", "combined", "error", "standing", "whitened"]
        assert one.detected["loud"]["combined"] > 0.9
        assert all(0 <= rate <= 1 for rate in one.false_alarms.values())
