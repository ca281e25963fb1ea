"""The exact dense layer against Adam on the same windows: time, and error on data that came later.

Every cell gives the first half of its recording to the fit and keeps the second half for the error. A teacher that
never heard the cell is refitted both ways, `--repeats` times with other folds and another order of windows. Without
recordings, made-up cells that repeat every 10 ms take their place.

The exact way is timed twice: in all, and for `fit_exactly` alone. The rest of its time is one pass of the LSTM layers
over all windows, of which Adam makes one in every epoch.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training_worker.evaluation.recordings import read_recording
from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import WindowSet
from training_worker.learning.exact import dense_of, fit_exactly, regress, with_dense
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, LstmPredictor, new_predictor

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"
TEACHERS_CELL = "cell-2645a"
HELD_OUT_FOLD = 0

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Refit:
    """One refit of the dense layer: what it took and what it gave."""

    cell: str
    method: str
    seconds: float
    solution_seconds: float
    """Of these, what the solution took once the features were there; for Adam all of them."""
    later_error_db: float


def main() -> None:
    """Run the comparison and print it as a Markdown table."""
    options = _parse()
    torch.set_num_threads(options.threads)
    recorded = sorted(options.recordings.glob("cell-*.sigmf-data"))
    cells = {path.stem: read_recording(path).codes for path in recorded} or _made_up_cells()
    heard = [codes for name, codes in cells.items() if name.startswith(TEACHERS_CELL)]
    teacher = _teacher(heard, options.teacher_epochs, options.stride)
    unadapted: dict[str, float] = {}
    refits: list[Refit] = []
    for name, codes in cells.items():
        if not name.startswith(TEACHERS_CELL):
            earlier, later = codes[: len(codes) // 2], codes[len(codes) // 2 :]
            unadapted[name] = _error_db(teacher, later)
            for seed in range(options.repeats):
                windows = WindowSet.cut([earlier], options.stride, seed)
                refits.append(_time_exact(name, teacher, windows, later))
                refits.append(_time_adam(name, teacher, windows, later, options.adam_epochs, seed))
    print(_table(unadapted, refits))
    if options.json:
        report = {"unadapted_error_db": unadapted, "refits": [asdict(refit) for refit in refits]}
        options.json.write_text(json.dumps(report, indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder of SigMF recordings")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stride", type=int, default=8, help="frames between the starts of windows")
    parser.add_argument("--teacher-epochs", type=int, default=20)
    parser.add_argument("--adam-epochs", type=int, default=100, help="at most; the fit stops early")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for every single figure")
    return parser.parse_args()


def _made_up_cells() -> dict[str, Codes]:
    """Return 1 s of frames [3906, 128] of three cells: a frame of 10 ms repeats in each, with a load that changes."""
    names = (f"{TEACHERS_CELL}-made-up", "cell-b-made-up", "cell-c-made-up")
    return {name: _made_up_cell(np.random.default_rng(seed)) for seed, name in enumerate(names)}


def _made_up_cell(random: np.random.Generator) -> Codes:
    frame = random.normal(0, 6, (39, 1)) + random.normal(0, 2, (39, 128))  # 39 frames are 10 ms
    load = np.repeat(random.integers(0, 2, 3906 // 4 + 1), 4)[:3906, None] * 8
    level = random.normal(100, 8, 128) + frame[np.arange(3906) % 39] + load + random.normal(0, 3, (3906, 128))
    codes: Codes = level.round().clip(0, 255).astype(np.uint8)
    return codes


def _teacher(segments: Sequence[Codes], epochs: int, stride: int) -> LstmPredictor:
    windows = WindowSet.cut(segments, stride, seed=0)
    return _fit(new_predictor(LstmConfig(), seed=0), windows, FitOptions(max_epochs=epochs, seed=0))


def _fit(start: LstmPredictor, windows: WindowSet, options: FitOptions) -> LstmPredictor:
    with tempfile.TemporaryDirectory() as folder:
        return fit(start, windows, HELD_OUT_FOLD, options, Path(folder) / "checkpoint", lambda *_: None)


def _time_exact(cell: str, teacher: LstmPredictor, windows: WindowSet, later: Codes) -> Refit:
    """Time the whole of it, cross-validation included, and keep the solution on the windows that Adam fits too."""
    begin = time.perf_counter()
    regression = regress(teacher, windows, lambda _: None)
    has_features = time.perf_counter()
    exact = fit_exactly(regression, dense_of(teacher))
    end = time.perf_counter()
    error_db = _error_db(with_dense(teacher, exact.left_out[HELD_OUT_FOLD]), later)
    return Refit(cell, "exact", end - begin, end - has_features, error_db)


def _time_adam(
    cell: str, teacher: LstmPredictor, windows: WindowSet, later: Codes, max_epochs: int, seed: int
) -> Refit:
    options = FitOptions(max_epochs=max_epochs, seed=seed, frozen_layers=teacher.body_layers)
    begin = time.perf_counter()
    student = _fit(teacher, windows, options)
    seconds = time.perf_counter() - begin
    return Refit(cell, "Adam", seconds, seconds, _error_db(student, later))


def _error_db(predictor: LstmPredictor, codes: Codes) -> float:
    windows = WindowSet.cut([codes], stride_frames=9, seed=0)
    return float(errors_db(predictor, windows, np.arange(len(windows)), lambda _: None).mean())


def _table(unadapted: dict[str, float], refits: Sequence[Refit]) -> str:
    """Return medians, with the least and the most in brackets."""
    lines = [
        "| cell | teacher dB | exact dB | Adam dB | exact s | solution s | Adam s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell, error_db in unadapted.items():
        exact, adam = ([r for r in refits if (r.cell, r.method) == (cell, method)] for method in ("exact", "Adam"))
        columns = [
            _spread([refit.later_error_db for refit in exact]),
            _spread([refit.later_error_db for refit in adam]),
            _spread([refit.seconds for refit in exact]),
            _spread([refit.solution_seconds for refit in exact]),
            _spread([refit.seconds for refit in adam]),
        ]
        lines.append(f"| {cell} | {error_db:.3f} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
