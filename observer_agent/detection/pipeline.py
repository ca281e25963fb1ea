"""Samples to frames, frames to windows, windows to scores: one stream of one band."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies import AnomalyMixer
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames
from bandwatch.spectrogram.quality import clipped_share
from bandwatch.spectrogram.samples import decode_samples
from bandwatch.spectrogram.windows import cut_windows
from observer_agent.detection.detector import DetectionOptions, Detector, ScoredWindows
from observer_agent.detection.model import ScoringModel
from observer_agent.receivers.blocks import Block, Receiver


@dataclass(frozen=True)
class FrameBatch:
    """Frames that follow those of the batch before, codes uint8 [m, 128], and the windows that they completed.

    `first_frame` counts frames from the start of the stream. `serial` is that of the model in force, zero when none is.
    """

    codes: NDArray[np.uint8]
    first_frame: int
    run: "Run"
    clipped_share: float
    serial: int
    windows: ScoredWindows | None


@dataclass(frozen=True)
class Run:
    """Where frames without a gap began: its first frame and the sample that it begins with."""

    first_frame: int
    first_sample: int
    sample_rate_hz: float

    def sample_of(self, frame: int) -> float:
        """Return the sample at which a frame begins."""
        return self.first_sample + (frame - self.first_frame) * FRAME_SECONDS * self.sample_rate_hz


class Pipeline:
    """Turns the blocks of a receiver into frames and scores windows of them.

    Raises:
        InvalidArgumentError: The receiver does not cover the band.
    """

    def __init__(
        self,
        receiver: Receiver,
        band: Band,
        options: DetectionOptions,
        *,
        first_frame: int = 0,
        mixer: AnomalyMixer | None = None,
    ) -> None:
        self._rate_hz = receiver.sample_rate_hz
        self._maker = FrameMaker(band, receiver.sample_rate_hz, receiver.center_hz)
        self._mixer = mixer
        self._options = options
        self._stride = options.stride_frames
        self._detector: Detector | None = None
        self.frames = first_frame
        self._run: Run | None = None
        self._waiting = np.empty((0, FRAME_BINS), dtype=np.uint8)

    def restart(self) -> None:
        """Forget what a gap cut off: neither a frame nor a window nor what stands out of several reaches across it."""
        self._maker.reset()
        self._run = None
        self._waiting = self._waiting[:0]
        if self._detector is not None:
            self._detector.restart()

    def push(self, block: Block, model: ScoringModel | None) -> FrameBatch:
        """Return the frames that a block completed, with its windows scored by the model."""
        iq = decode_samples(block.raw, block.datatype)
        if self._mixer is not None:
            iq = self._mixer.mix(iq, block.first_sample)
        codes = encode_frames(self._maker.push(iq), DEFAULT_REFERENCE_DB)
        if self._run is None:
            self._run = Run(self.frames, block.first_sample, self._rate_hz)
        first_frame = self.frames
        self.frames += len(codes)
        return FrameBatch(
            codes=codes,
            first_frame=first_frame,
            run=self._run,
            clipped_share=clipped_share(block.raw, block.datatype),
            serial=0 if model is None else model.serial,
            windows=self._score(codes, model),
        )

    def _score(self, codes: NDArray[np.uint8], model: ScoringModel | None) -> ScoredWindows | None:
        frames = np.concatenate((self._waiting, codes))
        first = self.frames - len(frames)
        windows = cut_windows(frames, self._stride)
        used = len(windows) * self._stride
        self._waiting = frames[used:]
        detector = self._detector_of(model)
        if detector is None or not len(windows):
            return None
        return detector.detect(windows, first + self._stride * np.arange(len(windows)))

    def _detector_of(self, model: ScoringModel | None) -> Detector | None:
        """Return the detector of the model in force; another model begins afresh."""
        if model is None:
            self._detector = None
        elif self._detector is None or self._detector.model is not model:
            self._detector = Detector(model, self._options)
        return self._detector
