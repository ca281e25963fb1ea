"""Samples to frames, frames to windows, windows to scores: one stream of one band."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.timetable import AnomalyMixer
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames
from bandwatch.spectrogram.quality import clipped_share
from bandwatch.spectrogram.samples import decode_samples
from bandwatch.spectrogram.windows import cut_windows
from observer_agent.detection.detector import DetectionOptions, Detector, ScoredWindows
from observer_agent.detection.model import ScoringModel
from observer_agent.detection.self_test import Injection
from observer_agent.receivers.blocks import Block, FrameReceiver, Receiver

_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class FrameBatch:
    """Frames that follow those of the batch before, codes uint8 [m, 128], and the windows that they completed.

    `first_frame` counts frames from the start of the stream. `serial` is that of the model in force, zero when none is.
    A model in shadow looked at the same windows; `shadow_serial` is zero when there is none. `self_test` names the
    self-test whose anomaly may be in the frames; what is marked so teaches and counts nowhere.
    """

    codes: NDArray[np.uint8]
    first_frame: int
    run: "Run"
    clipped_share: float
    serial: int
    windows: ScoredWindows | None
    shadow_serial: int = 0
    shadow_windows: ScoredWindows | None = None
    self_test: str = ""


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

    Finished frames are taken as they are: nothing is mixed into them, and they say nothing of clipped samples.

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
        self._maker = _frame_maker(receiver, band)
        self._mixer = mixer
        self._injection: Injection | None = None
        self._options = options
        self._stride = options.stride_frames
        self._detector: Detector | None = None
        self._shadow: Detector | None = None
        self._shadow_failed = False
        self.frames = first_frame
        self._run: Run | None = None
        self._waiting = np.empty((0, FRAME_BINS), dtype=np.uint8)

    @property
    def self_test(self) -> str:
        """Name of the self-test that is under way; empty for none."""
        return "" if self._injection is None else self._injection.name

    def inject(self, injection: Injection) -> None:
        """Mix in a known anomaly from now on, until it is over."""
        self._injection = injection

    def restart(self) -> None:
        """Forget what a gap cut off: neither a frame nor a window nor what stands out of several reaches across it."""
        if self._maker is not None:
            self._maker.reset()
        self._run = None
        self._waiting = self._waiting[:0]
        for detector in (self._detector, self._shadow):
            if detector is not None:
                detector.restart()

    def push(self, block: Block, model: ScoringModel | None, shadow: ScoringModel | None = None) -> FrameBatch:
        """Return the frames that a block completed, with its windows scored by the model, and by one beside it."""
        self_test = self.self_test
        codes, clipped = self._frames_of(block)
        if self._run is None:
            self._run = Run(self.frames, block.first_sample, self._rate_hz)
        first_frame = self.frames
        self.frames += len(codes)
        windows, first_frames = self._cut(codes)
        return FrameBatch(
            codes=codes,
            first_frame=first_frame,
            run=self._run,
            clipped_share=clipped,
            serial=0 if model is None else model.serial,
            windows=self._score(windows, first_frames, model),
            shadow_serial=0 if shadow is None else shadow.serial,
            shadow_windows=self._score_in_shadow(windows, first_frames, shadow),
            self_test=self_test,
        )

    def _frames_of(self, block: Block) -> tuple[NDArray[np.uint8], float]:
        """Return the frames that a block completed, and the share of its samples that are clipped."""
        if self._maker is None:
            return np.frombuffer(block.raw, np.uint8).reshape(-1, FRAME_BINS), 0.0
        iq = decode_samples(block.raw, block.datatype)
        if self._mixer is not None:
            iq = self._mixer.mix(iq, block.first_sample)
        if self._injection is not None:
            iq = self._injection.mix(iq, block.first_sample)
            self._injection = None if self._injection.is_over(block.end_sample) else self._injection
        codes = encode_frames(self._maker.push(iq), DEFAULT_REFERENCE_DB)
        return codes, clipped_share(block.raw, block.datatype)

    def _cut(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        frames = np.concatenate((self._waiting, codes))
        first = self.frames - len(frames)
        windows = cut_windows(frames, self._stride)
        used = len(windows) * self._stride
        self._waiting = frames[used:]
        return windows, first + self._stride * np.arange(len(windows))

    def _score(
        self, windows: NDArray[np.uint8], first_frames: NDArray[np.int64], model: ScoringModel | None
    ) -> ScoredWindows | None:
        self._detector = self._detector_of(model, self._detector)
        if self._detector is None or not len(windows):
            return None
        return self._detector.detect(windows, first_frames)

    def _score_in_shadow(
        self, windows: NDArray[np.uint8], first_frames: NDArray[np.int64], shadow: ScoringModel | None
    ) -> ScoredWindows | None:
        """Return what a model says that is only tried. However it fails, the one in force goes on."""
        before, self._shadow = self._shadow, self._detector_of(shadow, self._shadow)
        self._shadow_failed = self._shadow_failed and self._shadow is before
        if self._shadow is None or not len(windows):
            return None
        try:
            return self._shadow.detect(windows, first_frames)
        except Exception:  # noqa: BLE001 - onnxruntime raises a dozen unrelated classes
            if not self._shadow_failed:
                _log.exception("the release in shadow cannot score", serial=self._shadow.model.serial)
            self._shadow_failed = True
            return self._shadow.unscored(windows, first_frames)

    def _detector_of(self, model: ScoringModel | None, before: Detector | None) -> Detector | None:
        """Return the detector of a model; another model than before begins afresh."""
        if model is None:
            return None
        return before if before is not None and before.model is model else Detector(model, self._options)


def _frame_maker(receiver: Receiver, band: Band) -> FrameMaker | None:
    """Return what makes frames of a receiver's samples; nothing where it gives finished ones."""
    if not isinstance(receiver, FrameReceiver):
        return FrameMaker(band, receiver.sample_rate_hz, receiver.center_hz)
    given = receiver.band
    if given != band:
        raise InvalidArgumentError(
            f"it gives frames of {given.width_hz / 1e6:.6g} MHz around {given.center_hz / 1e6:.10g} MHz, "
            f"not of {band.width_hz / 1e6:.6g} MHz around {band.center_hz / 1e6:.10g} MHz: make the two bands alike"
        )
    return None
