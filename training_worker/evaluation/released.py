"""What a released model says of frames that it has not heard, computed as observers compute it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.manifest import BlobReference, ErrorStatistics, ModelContent, ScoreTable, TensorEntry
from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.judging import Codes, Judge, Outputs, Values
from training_worker.evaluation.rates import exceeding
from training_worker.evaluation.recordings import Recording
from training_worker.evaluation.telling import markdown_table, percent
from training_worker.evaluation.thresholds import METHODS
from training_worker.learning.calibration import error_statistics
from training_worker.learning.export import Session

ReadBlob = Callable[[BlobReference], bytes]


@dataclass(frozen=True, eq=False)
class RealisedRates:
    """A model on one recording: its errors, and by score the realised rate of every threshold.

    `rates[score]` holds for each nominal rate an object of that rate and one share by each of `thresholds.METHODS`.
    """

    recording: str
    error: ErrorStatistics
    rates: dict[str, list[dict[str, float]]]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"recording": self.recording, "error": self.error.model_dump(), "scores": self.rates}


def load_released(content: ModelContent, read_blob: ReadBlob) -> Judge:
    """Return the judge that a released model is, in onnxruntime.

    Raises:
        CorruptError: Its parts do not make a model.
        NotFoundError: A part is missing.
    """
    weights = {entry.name: _array(entry, read_blob(entry.blob)) for entry in content.tensors}
    session = Session(read_blob(content.graph), weights)

    def outputs_of(windows: Codes) -> Outputs:
        scored = session.score(windows)
        return Outputs(scored.error_db, scored.whitened, scored.bands)

    return Judge(outputs_of, content.scores)


def read_frames(path: Path) -> Codes:
    """Return the frames uint8 [frames, 128] of a file that holds nothing else.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: It cannot be read, or ends inside a frame.
    """
    try:
        codes = np.fromfile(path, np.uint8)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path} of frames") from error
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from error
    if codes.size % FRAME_BINS:
        raise InvalidArgumentError(f"{path} ends inside a frame: {codes.size} bytes are no multiple of {FRAME_BINS}")
    return codes.reshape(-1, FRAME_BINS)


def errors_of(model: Judge, segments: Sequence[Codes], stride_frames: int) -> ErrorStatistics:
    """Return the errors in dB of a model over every window of segments uint8 [frames, 128].

    Raises:
        FailedPreconditionError: No segment holds a window.
    """
    windows = [cut_windows(segment, stride_frames) for segment in segments if len(segment) >= WINDOW_FRAMES]
    if not windows:
        raise FailedPreconditionError(f"give frames in pieces of at least {WINDOW_FRAMES}: a window needs that many")
    return error_statistics(np.concatenate([model.outputs(part).error_db for part in windows]))


def realised_rates(model: Judge, recording: Recording, stride_frames: int) -> RealisedRates:
    """Return errors and false-alarm rates of a model over a whole recording in which nothing unusual happens.

    Raises:
        FailedPreconditionError: The recording holds no window.
    """
    windows = cut_windows(recording.codes, stride_frames)
    if not len(windows):
        raise FailedPreconditionError(f"{recording.name} is shorter than the {WINDOW_FRAMES} frames of a window")
    outputs = model.outputs(windows)
    scores = model.in_order(outputs, stride_frames)
    rates = {str(table.score): _rates_of(table, scores[table.score]) for table in model.tables}
    return RealisedRates(recording.name, error_statistics(outputs.error_db), rates)


def table(found: Sequence[RealisedRates]) -> str:
    """Return Markdown: the realised rate of each score of each recording at each nominal rate, by the default."""
    nominal = [row["false_alarm_rate"] for row in next(iter(found[0].rates.values()))]
    heads = ["recording", "error dB", "windows", "score", *(f"at {100 * rate:g} %" for rate in nominal)]
    rows = [
        [
            one.recording,
            f"{one.error.mean_db:.3f} ({one.error.deviation_db:.3f})",
            str(one.error.windows),
            score,
            *(percent(row[METHODS[0]]) for row in rates),
        ]
        for one in found
        for score, rates in one.rates.items()
    ]
    return markdown_table(heads, rows)


def _rates_of(table: ScoreTable, values: Values) -> list[dict[str, float]]:
    return [
        {"false_alarm_rate": threshold.false_alarm_rate}
        | {method: exceeding(values, getattr(threshold, method)) for method in METHODS}
        for threshold in table.thresholds
    ]


def _array(entry: TensorEntry, content: bytes) -> npt.NDArray[np.float32]:
    if len(content) != 4 * int(np.prod(entry.shape)):
        raise CorruptError(f"tensor {entry.name} has {len(content)} bytes, which do not fill shape {entry.shape}")
    return np.frombuffer(content, "<f4").reshape(entry.shape)
