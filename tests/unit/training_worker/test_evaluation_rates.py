"""Thresholds matched to a false-alarm rate, and areas under the operating characteristic."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from training_worker.evaluation.rates import ROC_RATES, area, detections, exceeding, matched_threshold

Values = npt.NDArray[np.float32]
SCORES = arrays.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 100, width=32))


@given(SCORES, st.floats(0, 0.99))
def test_no_more_than_the_rate_of_clean_windows_exceeds_a_matched_threshold_and_no_lower_score_would_do(
    clean: Values, rate: float
) -> None:
    threshold = matched_threshold(clean, rate)
    assert exceeding(clean, threshold) <= rate + 1e-6
    below = clean[clean < threshold]
    assert not below.size or exceeding(clean, float(below.max())) > rate - 1e-6


def test_the_area_is_the_chance_that_an_anomalous_window_scores_above_a_clean_one() -> None:
    random = np.random.default_rng(3)
    clean, anomalous = (random.normal(mean, 1, 200).astype(np.float32) for mean in (0.0, 1.0))
    u = stats.mannwhitneyu(anomalous, clean).statistic
    assert area(clean, anomalous) == pytest.approx(u / (len(clean) * len(anomalous)))


def test_the_partial_area_is_the_mean_detection_up_to_its_rate() -> None:
    random = np.random.default_rng(4)
    clean, anomalous = (random.normal(mean, 1, 500).astype(np.float32) for mean in (0.0, 1.0))
    rates = (np.arange(10_000) + 0.5) / 10_000 * 0.1
    assert area(clean, anomalous, 0.1) == pytest.approx(np.mean(detections(clean, anomalous, rates.tolist())), abs=1e-3)


@pytest.mark.parametrize(("shift", "expected"), [(1000.0, 1.0), (-1000.0, 0.0)])
def test_scores_that_never_overlap_have_areas_of_one_and_of_nothing(shift: float, expected: float) -> None:
    clean = np.arange(100, dtype=np.float32)
    assert area(clean, clean + np.float32(shift)) == expected
    assert area(clean, clean + np.float32(shift), 0.1) == expected


def test_detections_never_fall_as_more_false_alarms_are_allowed() -> None:
    random = np.random.default_rng(5)
    clean, anomalous = (random.normal(mean, 1, 300).astype(np.float32) for mean in (0.0, 0.5))
    found = detections(clean, anomalous, ROC_RATES)
    assert found == sorted(found)
    assert found[-1] == 1
