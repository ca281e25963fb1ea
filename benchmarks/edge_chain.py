"""The agent's chain from samples to errors against its two library calls alone, on one core.

A simulated cell is stored as 8-bit samples at 5 MS/s. The agent's pipeline turns them into error_db with a model of the
usual size, loaded as the agent loads it, with random weights: they cost what trained ones cost. The bare alternative
gets the same Welch segments as complex64 and the same windows, cut and contiguous, and does nothing but scipy.fft and
onnxruntime, in calls of the same sizes. Chain and alternative take turns.

Factors are seconds of signal per second of processor time, which other programs on the core leave alone; by the clock
they are lower where there are such programs.
"""

import argparse
import cProfile
import hashlib
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import scipy.fft
import torch
from numpy.lib.stride_tricks import sliding_window_view

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import (
    SCORES,
    BlobReference,
    ErrorStatistics,
    Manifest,
    ModelContent,
    ScoreTable,
    TensorEntry,
)
from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, WINDOW_FRAMES, Band
from bandwatch.spectrogram.resampling import Resampler
from bandwatch.spectrogram.samples import decode_samples, encode_samples
from observer_agent.detection.detector import DetectionOptions
from observer_agent.detection.model import ScoringModel, load_model
from observer_agent.detection.pipeline import FrameBatch, Pipeline
from observer_agent.receivers.blocks import BLOCK_SECONDS, Block
from training_worker.learning.export import OUTPUTS, Session, Tensors, export_graph, tensors
from training_worker.learning.networks import LSTM, LstmConfig, new_predictor
from training_worker.learning.scores import Scorer, no_statistics

WIDTH_HZ: Final = 5e6
CENTER_HZ: Final = 881.5e6
DATATYPE: Final = "cu8"
STRIDES: Final = (25, WINDOW_FRAMES)
"""The agent's default, at which every frame is judged, and windows side by side."""
FFT_SEGMENTS: Final = 32 * 19
"""Welch segments that the chain transforms in one call: they stay in the core's own cache."""
THRESHOLD: Final = {"false_alarm_rate": 0.01, "gaussian": 4.0, "empirical": 4.0, "bound": 4.0}
CHAIN_STEPS: Final = {
    "samples to complex64": "decode_samples",
    "clipped share": "clipped_share",
    "frames": "FrameMaker.push",
    "half-dB codes": "encode_frames",
    "model": "ScoringModel.score",
}
BARE_STEPS: Final = {"scipy.fft alone": "Bare._transform", "onnxruntime alone": "Bare._predict"}


class StoredReceiver:
    """Plays samples from memory, in the blocks that every receiver makes."""

    description = "samples in memory"
    sample_rate_hz = WIDTH_HZ
    center_hz = CENTER_HZ
    gain_db: float | None = None

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks of a tenth of a second."""
        count = round(BLOCK_SECONDS * WIDTH_HZ)
        for first in range(0, len(self._raw) // 2, count):
            if not stop.is_set():
                raw = self._raw[2 * first : 2 * (first + count)]
                yield Block(raw, DATATYPE, first, len(raw) // 2)


@dataclass(frozen=True)
class Pass:
    """One way through the whole signal: factors of real time."""

    stride_frames: int
    method: str
    by_processor: float
    by_clock: float


class Chain:
    """The agent's pipeline on stored blocks."""

    def __init__(self, blocks: Sequence[Block], model: ScoringModel, stride: int) -> None:
        self._blocks = blocks
        self._model = model
        self._stride = stride

    def run(self) -> None:
        """Work through the signal once."""
        for _ in self.batches():
            pass

    def batches(self) -> Iterator[FrameBatch]:
        """Yield what the pipeline makes of each block."""
        pipeline = Pipeline(
            StoredReceiver(b""),
            Band(CENTER_HZ, WIDTH_HZ),
            DetectionOptions(
                stride_frames=self._stride, false_alarm_rate=0.01, score="default", threshold_method="bound"
            ),
        )
        return (pipeline.push(block, self._model) for block in self._blocks)


class Bare:
    """The two library calls on what the chain would hand them: Welch segments [n, 128] and windows [m, 125, 128]."""

    def __init__(self, raw: bytes, batches: Sequence[FrameBatch], session: onnxruntime.InferenceSession) -> None:
        self._session = session
        samples = round(FRAME_SECONDS * WIDTH_HZ)
        frames = decode_samples(raw, DATATYPE)[: sum(len(batch.codes) for batch in batches) * samples]
        segments = sliding_window_view(frames.reshape(-1, samples), FRAME_BINS, axis=1)[:, :: FRAME_BINS // 2]
        self._segments = segments.reshape(-1, FRAME_BINS)
        codes = np.concatenate([batch.codes for batch in batches])
        every = sliding_window_view(codes, WINDOW_FRAMES, axis=0).transpose(0, 2, 1)
        scored = [batch.windows.first_frames for batch in batches if batch.windows is not None]
        self._windows = [np.ascontiguousarray(every[first_frames]) for first_frames in scored]

    def run(self) -> None:
        """Work through the signal once."""
        self._transform()
        self._predict()

    def _transform(self) -> None:
        for start in range(0, len(self._segments), FFT_SEGMENTS):
            scipy.fft.fft(self._segments[start : start + FFT_SEGMENTS], axis=1, workers=1)

    def _predict(self) -> None:
        for windows in self._windows:
            self._session.run(list(OUTPUTS), {"codes": windows})


def main() -> None:
    """Run the comparison and print it as Markdown tables."""
    options = _parse()
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    _pin(core)
    raw = _stored_cell(options.seconds)
    blocks = list(StoredReceiver(raw).blocks(threading.Event()))
    scorer = Scorer(new_predictor(LstmConfig(), seed=0), no_statistics())
    graph, weights = export_graph(scorer), tensors(scorer)
    model, session = _released(graph, weights), _bare_session(graph, weights)
    passes: list[Pass] = []
    steps_ms: dict[int, dict[str, float]] = {}
    for stride in STRIDES:
        chain = Chain(blocks, model, stride)
        bare = Bare(raw, list(chain.batches()), session)
        passes += _compare(chain, bare, stride, options)
        steps_ms[stride] = _profile(chain.run, CHAIN_STEPS, options.seconds)
        bare_ms = _profile(bare.run, BARE_STEPS, options.seconds)
        steps_ms[stride] |= {step: bare_ms[step] for step in BARE_STEPS}
    print(_table(passes), _step_table(steps_ms), sep="\n\n")
    if options.json:
        report = {"core": core, "passes": [asdict(one) for one in passes], "steps_ms": steps_ms}
        options.json.write_text(json.dumps(report, indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2.0, help="signal that one pass works through")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--core", type=int, help="number of the core to run on; the last one when absent")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    return parser.parse_args()


def _pin(core: int) -> None:
    """Keep every thread of this process, those that libraries have begun too, on one core."""
    torch.set_num_threads(1)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def _stored_cell(seconds: float) -> bytes:
    """Return a cell of 25 resource blocks, simulated at its own rate and stored at the band's."""
    channel = ChannelConfig(mobility="walking", signal_to_noise_db=20.0, carrier_hz=CENTER_HZ, level_dbfs=-15.0)
    cell = SimulatedCell(CellConfig(cell_identity=1), channel, seed=0)
    resampler = Resampler(cell.sample_rate_hz, WIDTH_HZ, offset_hz=0.0)
    wanted = round(seconds * WIDTH_HZ)
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < 2 * wanted:
        pieces.append(encode_samples(resampler.push(cell.read(round(0.1 * cell.sample_rate_hz))), DATATYPE))
    return b"".join(pieces)[: 2 * wanted]


def _released(graph: bytes, weights: Tensors) -> ScoringModel:
    """Load a model as the agent does."""
    blobs: dict[str, bytes] = {}

    def keep(content: bytes) -> BlobReference:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return BlobReference(digest=digest, size_bytes=len(content))

    golden_db = Session(graph, weights).score(golden_windows(4)).error_db
    calibrated = [
        {"score": score, "log_mean": 0.0, "log_deviation": 1.0, "thresholds": [THRESHOLD]} for score in SCORES
    ]
    content = ModelContent(
        family=LSTM,
        graph=keep(graph),
        tensors=tuple(
            TensorEntry(name=name, shape=array.shape, blob=keep(array.tobytes())) for name, array in weights.items()
        ),
        frozen_layers=0,
        error=ErrorStatistics(mean_db=3.0, deviation_db=0.3, windows=100),
        scores=tuple(map(ScoreTable.model_validate, calibrated)),
        default_score="combined",
        golden_errors_db=tuple(golden_db.tolist()),
    )
    manifest = Manifest(
        serial=1,
        model="models/untrained",
        band="bands/north",
        cell=None,
        parent=None,
        run="runs/none",
        content=content,
        created_at=datetime.now(UTC),
    )
    return load_model(manifest, lambda reference: blobs[reference.digest], threads=1)


def _bare_session(graph: bytes, weights: Tensors) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_external_initializers(
        list(weights), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    )
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _compare(chain: Chain, bare: Bare, stride: int, options: argparse.Namespace) -> Iterator[Pass]:
    methods: dict[str, Callable[[], None]] = {"chain": chain.run, "bare": bare.run}
    for run in methods.values():
        run()  # fills caches and the session's memory
    for _ in range(options.repeats):
        for method, run in methods.items():
            clock_s, processor_s = time.perf_counter(), time.process_time()
            run()
            clock_s, processor_s = time.perf_counter() - clock_s, time.process_time() - processor_s
            yield Pass(stride, method, options.seconds / processor_s, options.seconds / clock_s)


def _profile(run: Callable[[], None], steps: dict[str, str], seconds: float) -> dict[str, float]:
    """Return the processor time in ms that each step takes for a second of signal, and what lies between them."""
    profile = cProfile.Profile(time.process_time, builtins=False)  # their many calls would weigh
    begin_s = time.process_time()
    profile.runcall(run)
    all_s = time.process_time() - begin_s
    functions = {entry.code.co_qualname: entry for entry in profile.getstats() if not isinstance(entry.code, str)}
    spent_s = {step: functions[name].totaltime for step, name in steps.items()}
    spent_s["between them"] = all_s - sum(spent_s.values())
    return {step: 1e3 * step_s / seconds for step, step_s in spent_s.items()}


def _table(passes: Sequence[Pass]) -> str:
    """Return medians, with the least and the most in brackets."""
    lines = [
        "| stride | chain, x real time | by the clock | bare, x real time | chain of bare, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for stride in STRIDES:
        chain, bare = (
            [one for one in passes if (one.stride_frames, one.method) == (stride, method)]
            for method in ("chain", "bare")
        )
        shares = [100 * ours.by_processor / theirs.by_processor for ours, theirs in zip(chain, bare, strict=True)]
        figures = [
            [one.by_processor for one in chain],
            [one.by_clock for one in chain],
            [one.by_processor for one in bare],
            shares,
        ]
        lines.append(f"| {stride} | {' | '.join(map(_spread, figures))} |")
    return "\n".join(lines)


def _step_table(steps_ms: dict[int, dict[str, float]]) -> str:
    lines = ["| ms for a second of signal | " + " | ".join(f"stride {stride}" for stride in STRIDES) + " |"]
    lines.append("| --- |" + " --- |" * len(STRIDES))
    for step in steps_ms[STRIDES[0]]:
        cells = " | ".join(f"{steps_ms[stride][step]:.1f}" for stride in STRIDES)
        lines.append(f"| {step} | {cells} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
