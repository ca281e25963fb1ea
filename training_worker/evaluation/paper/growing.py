"""Students of every family from some local data, as jobs."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bandwatch.errors import InvalidArgumentError
from training_worker.evaluation.growth import growth
from training_worker.evaluation.paper.detecting import FIRST, Case, windows_of_case
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job
from training_worker.evaluation.paper.measuring import STRIDE_FRAMES, Codes
from training_worker.evaluation.paper.scenes import Scene, hearing_s
from training_worker.evaluation.paper.training import Skip, predictor_of
from training_worker.learning.networks import HybridPredictor

CASES: Final = (Case("ofdm-1mhz", -10.0), Case("qpsk-200khz", -10.0))
"""Anomalies that students of every family are tried on."""


@dataclass(frozen=True)
class Growth(Job):
    """A student of each family from local data: what `growth` says of it, by family.

    "error_db" [2], mean and deviation; "false-alarms/" and "detected/", followed by a score, [1] and [cases].
    """

    name: str
    teacher: Skip
    local: tuple[Scene, ...]
    clean: tuple[Scene, ...]
    disturbed: tuple[Scene, ...]
    width_hz: float
    stride_frames: int
    seed: int

    @property
    def label(self) -> str:
        """What it is."""
        return f"students of every family from {self.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return 8 + 2 * hearing_s((*self.local, *self.clean, *self.disturbed))

    @property
    def needs(self) -> tuple[Job, ...]:
        """The teacher."""
        return (self.teacher,)

    def run(self, bench: Bench) -> Arrays:
        """Solve and judge."""
        teacher = predictor_of(bench.arrays(self.teacher))
        if not isinstance(teacher, HybridPredictor):
            raise InvalidArgumentError(f"students of every family need a hybrid as teacher, not {teacher.family}")
        made = growth(
            teacher,
            [bench.listener.hear(scene) for scene in self.local],
            [bench.listener.hear(scene) for scene in self.clean],
            self._anomalous(bench),
            (sum(scene.seconds for scene in self.local),),
            clean_stride=STRIDE_FRAMES,
            stride_frames=self.stride_frames,
            seed=self.seed,
        )
        arrays: Arrays = {}
        for one in made:
            arrays[f"{one.family}/error_db"] = np.array([one.error.mean_db, one.error.deviation_db])
            for score, rate in one.false_alarms.items():
                arrays[f"{one.family}/false-alarms/{score}"] = np.array(rate)
                arrays[f"{one.family}/detected/{score}"] = np.array([of[score] for of in one.detected.values()])
        return arrays

    def _anomalous(self, bench: Bench) -> dict[str, Codes]:
        found: dict[str, list[Codes]] = {}
        for case in CASES:
            for scene in self.disturbed:
                _, met = windows_of_case(bench, scene, case, self.width_hz, self.seed)
                for mode, windows in met.items():
                    found.setdefault(f"{case.label}, {mode}", []).append(windows[FIRST[mode] :])
        return {name: np.concatenate(parts) for name, parts in found.items()}
