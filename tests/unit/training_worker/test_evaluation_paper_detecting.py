"""Windows that meet an anomaly."""

import numpy as np
import pytest

from bandwatch.lte.anomalies.kinds import DOWN_SHARES, KEYED_WIDTH_HZ, KINDS, OFDM_WIDTHS_HZ
from tests.unit.training_worker.test_evaluation_paper import network_text
from training_worker.evaluation.injection import LATEST_FRAMES, STANDING, SUDDEN
from training_worker.evaluation.paper.detecting import FIRST, LEAD_S, Case, windows_of_case
from training_worker.evaluation.paper.jobs import Bench
from training_worker.evaluation.paper.scenes import Scene

SCENE = Scene("880-a-roof", 3 * 86_400.0, LEAD_S + 0.1)
WIDTH_HZ = 1.4e6


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "network.toml").write_text(network_text())
    return Bench(folder, folder / "network.toml")


@pytest.mark.parametrize("case", [Case("ofdm-5mhz", 0.0), Case("down-66"), Case("power-5db")])
def test_windows_meet_an_anomaly_suddenly_or_all_along(bench: Bench, case: Case) -> None:
    before, met = windows_of_case(bench, SCENE, case, WIDTH_HZ, seed=1)
    sudden, standing = met[SUDDEN], met[STANDING]
    assert sudden.shape == standing.shape == before.shape
    np.testing.assert_array_equal(sudden[:, :100], before[:, :100])
    for mode, windows in met.items():
        np.testing.assert_array_equal(windows[: FIRST[mode] - 4], before[: FIRST[mode] - 4])
    changed = (sudden != before)[FIRST[SUDDEN] :, 100 + LATEST_FRAMES :].mean(axis=(1, 2))
    assert (changed > 0.2).all()
    assert ((standing != before)[FIRST[STANDING] :].mean(axis=(1, 2)) > 0.2).all()


def test_a_step_of_power_begins_with_all_bins_higher_by_the_step(bench: Bench) -> None:
    before, met = windows_of_case(bench, SCENE, Case("power-3db"), WIDTH_HZ, seed=1)
    late = slice(100 + LATEST_FRAMES, None)
    risen = met[SUDDEN][FIRST[SUDDEN] + 4 :, late].astype(int) - before[FIRST[SUDDEN] + 4 :, late]
    assert np.unique(risen).tolist() == [6]


def test_an_anomaly_lies_within_the_band_and_elsewhere_in_other_scenes() -> None:
    for kind in KINDS:
        case = Case(kind, 0.0)
        offsets = [case.anomaly_in(Scene("a", start_s, 1.0), 5e6, 0).offset_hz for start_s in (1.0, 2.0, 3.0)]
        if kind in DOWN_SHARES:
            assert all(0 <= offset <= 5e6 for offset in offsets)
        else:
            free_hz = 5e6 - OFDM_WIDTHS_HZ.get(kind, KEYED_WIDTH_HZ)
            assert all(abs(offset) <= free_hz / 2 for offset in offsets)
        assert len(set(offsets)) == (1 if kind == "ofdm-5mhz" else 3)


@pytest.mark.parametrize(
    ("case", "label"),
    [
        (Case("ofdm-5mhz", -10.0), "OFDM 5 MHz at -10 dB"),
        (Case("qpsk-200khz", 0.0), "QPSK 200 kHz at +0 dB"),
        (Case("down-33"), "33 % of frequencies down"),
        (Case("power-3db"), "power step 3 dB"),
    ],
)
def test_an_anomaly_is_told_in_words(case: Case, label: str) -> None:
    assert case.label == label
