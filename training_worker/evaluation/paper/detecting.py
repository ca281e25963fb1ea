"""Which windows are found conspicuous, undisturbed and disturbed ones, by a network and by simple methods: as jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from bandwatch.lte.anomalies.kinds import DOWN_SHARES, KEYED_WIDTH_HZ, OFDM_WIDTHS_HZ, POWER_STEPS_DB
from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_SECONDS, INPUT_FRAMES
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.injection import DOWN_FLOOR_DB, STANDING, SUDDEN, sudden_windows
from training_worker.evaluation.judging import Judge, judge_of
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job
from training_worker.evaluation.paper.measuring import STRIDE_FRAMES
from training_worker.evaluation.paper.scenes import Scene, hearing_s
from training_worker.evaluation.paper.training import Model, left_over_of, predictor_of
from training_worker.learning.baselines import BASELINES, Baseline
from training_worker.learning.calibration import calibrate

LEAD_FRAMES: Final = 1000
"""Frames before an anomaly begins, in which its reference power is heard: a quarter of a second."""
LEAD_S: Final = LEAD_FRAMES * FRAME_SECONDS
"""The same in seconds."""
RATE: Final = 0.01
"""Rate of false alarms at which detections are counted (seed paper)."""
FIRST: Final[Mapping[str, int]] = {
    SUDDEN: (LEAD_FRAMES - INPUT_FRAMES) // STRIDE_FRAMES,
    STANDING: LEAD_FRAMES // STRIDE_FRAMES,
}
"""Windows of a scene that do not meet its anomaly yet, by the way in which later ones do."""
_FITTED_STRIDE_FRAMES: Final = 125

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """An anomaly: its kind, and the power of interference over that of the cell, which other kinds have not."""

    kind: str
    ratio_db: float | None = None

    @property
    def label(self) -> str:
        """What it is, in words."""
        if self.kind in POWER_STEPS_DB:
            return f"power step {POWER_STEPS_DB[self.kind]:.0f} dB"
        if self.kind in DOWN_SHARES:
            return f"{100 * DOWN_SHARES[self.kind]:.0f} % of frequencies down"
        return f"{self.name} at {self.ratio_db:+.0f} dB"

    @property
    def name(self) -> str:
        """The kind in words, as in "OFDM 5 MHz"."""
        scheme, _, width = self.kind.partition("-")
        return f"{scheme.upper()} {width.replace('mhz', ' MHz').replace('khz', ' kHz')}"

    def anomaly_in(self, scene: Scene, width_hz: float, seed: int) -> Anomaly:
        """Return the anomaly of a scene of a band, somewhere in the band."""
        rng = np.random.default_rng([seed, round(scene.start_s), sum(self.kind.encode())])
        ratio_db = DOWN_FLOOR_DB if self.ratio_db is None else self.ratio_db
        free_hz = max(width_hz - OFDM_WIDTHS_HZ.get(self.kind, KEYED_WIDTH_HZ), 0.0)
        place = float(rng.random())
        offset_hz = place * width_hz if self.kind in DOWN_SHARES else (place - 0.5) * free_hz
        return Anomaly(self.kind, LEAD_S, scene.seconds + 1, ratio_db, offset_hz)


@dataclass(frozen=True)
class Clean(Job):
    """The scores of undisturbed windows: float32 [n] by the name of the score or of the simple method."""

    model: Model
    scenes: tuple[Scene, ...]

    @property
    def label(self) -> str:
        """What it is."""
        return "scores without anomalies"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return 2 * hearing_s(self.scenes)

    @property
    def needs(self) -> tuple[Job, ...]:
        """The network."""
        return (self.model,)

    def run(self, bench: Bench) -> Arrays:
        """Judge."""
        judge, rivals = _judge(bench, self.model), _rivals(bench, self.model)
        parts = []
        for scene in self.scenes:
            windows = cut_windows(bench.listener.hear(scene), STRIDE_FRAMES)
            scores = judge.in_order(judge.outputs(windows), STRIDE_FRAMES)
            parts.append(scores | _by_rivals(rivals, windows))
        bounds = {f"bound/{table.score}": np.array(table.threshold_for(RATE).bound) for table in judge.tables}
        return bounds | {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True)
class Disturbed(Job):
    """The scores of windows with an anomaly: float32 [n] by "sudden/" or "standing/" and the name as in `Clean`."""

    model: Model
    scenes: tuple[Scene, ...]
    case: Case
    width_hz: float
    seed: int

    @property
    def label(self) -> str:
        """What it is."""
        return f"scores of {self.case.label}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return 3 * hearing_s(self.scenes)

    @property
    def needs(self) -> tuple[Job, ...]:
        """The network."""
        return (self.model,)

    def run(self, bench: Bench) -> Arrays:
        """Judge."""
        judge, rivals = _judge(bench, self.model), _rivals(bench, self.model)
        parts = [self._of_scene(bench, scene, judge, rivals) for scene in self.scenes]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _of_scene(self, bench: Bench, scene: Scene, judge: Judge, rivals: Mapping[str, Baseline]) -> Arrays:
        before, met = windows_of_case(bench, scene, self.case, self.width_hz, self.seed)
        outputs = {mode: judge.outputs(windows) for mode, windows in met.items()}
        scores = {
            SUDDEN: judge.after(outputs[SUDDEN], judge.outputs(before), STRIDE_FRAMES),
            STANDING: judge.in_order(outputs[STANDING], STRIDE_FRAMES),
        }
        return {
            f"{mode}/{name}": values
            for mode, windows in met.items()
            for name, values in (
                {score: of_score[FIRST[mode] :] for score, of_score in scores[mode].items()}
                | _by_rivals(rivals, windows[FIRST[mode] :])
            ).items()
        }


def windows_of_case(
    bench: Bench, scene: Scene, case: Case, width_hz: float, seed: int
) -> tuple[Codes, dict[str, Codes]]:
    """Return the windows of a scene without an anomaly and, by the way in which they meet it, with it.

    All are uint8 [n, 125, 128], and the first `FIRST` of each way do not meet it yet.
    """
    anomaly = case.anomaly_in(scene, width_hz, seed)
    clean, disturbed = bench.listener.hear(scene), bench.listener.hear(replace(scene, anomaly=anomaly))
    before, after = cut_windows(clean, STRIDE_FRAMES), cut_windows(disturbed, STRIDE_FRAMES)
    begun = cut_windows(_begun(case, clean, disturbed), STRIDE_FRAMES)
    return before, {SUDDEN: sudden_windows(before, begun, seed), STANDING: after}


def _begun(case: Case, clean: Codes, disturbed: Codes) -> Codes:
    """Return the frames as they are right after the anomaly has begun, whichever frame it begins in.

    A step of power lasts as long as half of the input frames, so a target part is all at the higher power.
    """
    if case.kind not in POWER_STEPS_DB:
        return disturbed
    step = round(POWER_STEPS_DB[case.kind] / CODE_STEP_DB)
    stepped = np.minimum(clean.astype(np.uint16) + step, np.iinfo(np.uint8).max).astype(np.uint8)
    return np.concatenate([clean[:LEAD_FRAMES], stepped[LEAD_FRAMES:]])


def _judge(bench: Bench, model: Model) -> Judge:
    def make() -> Judge:
        arrays = bench.arrays(model)
        return judge_of(predictor_of(arrays), calibrate(left_over_of(arrays)))

    return bench.remember(f"judge {bench.path(model)}", make)


def _rivals(bench: Bench, model: Model) -> Mapping[str, Baseline]:
    """Return the simple methods, fitted on what the model was fitted on."""

    def make() -> Mapping[str, Baseline]:
        heard = [cut_windows(bench.listener.hear(scene), _FITTED_STRIDE_FRAMES) for scene in model.scenes]
        windows = np.concatenate(heard)
        return {name: fit(windows) for name, fit in BASELINES.items()}

    return bench.remember(f"rivals {bench.path(model)}", make)


def _by_rivals(rivals: Mapping[str, Baseline], windows: Codes) -> dict[str, Floats]:
    return {name: rival.scores(windows) for name, rival in rivals.items()}
