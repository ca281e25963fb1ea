"""SigMF recordings as samples and frames (SigMF specification 1.2: metadata in JSON, samples in the file beside it)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames
from bandwatch.spectrogram.samples import decode_samples

_METADATA: Final = ".sigmf-meta"
_DATA: Final = ".sigmf-data"
_SHORTEST_REST_S: Final = 0.1

Codes = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.complex64]
_Hertz = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Global(BaseModel):
    datatype: str = Field(alias="core:datatype")
    sample_rate_hz: _Hertz = Field(alias="core:sample_rate")
    channels: int = Field(1, alias="core:num_channels", ge=1, le=1)


class _Capture(BaseModel):
    center_hz: _Hertz = Field(alias="core:frequency")
    header_bytes: int = Field(0, alias="core:header_bytes", ge=0, le=0)


class _Metadata(BaseModel):
    overall: _Global = Field(alias="global")
    captures: list[_Capture] = Field(min_length=1, max_length=1)


@dataclass(frozen=True, eq=False)
class Recording:
    """One capture of one channel, whole in memory.

    Attributes:
        name: The name of its files without their endings.
        path: Its file of samples.
        sample_rate_hz: Samples in a second, and the width of the band that its frames show.
        center_hz: Where the receiver was tuned, and the centre of that band.
        iq: complex64 [samples].
        codes: uint8 [frames, 128], what an observer makes of the samples.
    """

    name: str
    path: Path
    sample_rate_hz: float
    center_hz: float
    iq: Samples
    codes: Codes

    def frames_of(self, iq: Samples) -> Codes:
        """Return the frames uint8 [frames, 128] of other samples complex64 [n] at the same rate and centre."""
        return _frames_of(iq, self.sample_rate_hz, self.center_hz)


def read_recordings(paths: Iterable[Path]) -> list[Recording]:
    """Return recordings in the order of their paths; see `read_recording`.

    Raises:
        InvalidArgumentError: They differ in sample rate, so that their frames show bands of different width.
    """
    recordings = [read_recording(path) for path in paths]
    check_one_rate(recordings)
    return recordings


def read_recording(path: Path) -> Recording:
    """Return the recording whose metadata, samples or name without ending that is.

    Raises:
        NotFoundError: The metadata or the samples are missing.
        InvalidArgumentError: They are not one capture of one channel that frames can be made of.
    """
    name = path.name.removesuffix(_METADATA).removesuffix(_DATA)
    metadata = _read_metadata(path.with_name(name + _METADATA))
    data = path.with_name(name + _DATA)
    rate_hz, center_hz = metadata.overall.sample_rate_hz, metadata.captures[0].center_hz
    try:
        iq = _finite(decode_samples(data.read_bytes(), metadata.overall.datatype))
        codes = _frames_of(iq, rate_hz, center_hz)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {data} with the samples of this recording") from error
    except OSError as error:
        raise InvalidArgumentError(f"{data} cannot be read: {error.strerror}") from error
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{data}: {error.message}") from error
    return Recording(name, data.resolve(), rate_hz, center_hz, iq, codes)


def check_one_rate(recordings: Sequence[Recording]) -> None:
    """See that recordings show bands of one width.

    Raises:
        InvalidArgumentError: They do not.
    """
    rates_hz = {recording.sample_rate_hz: recording.name for recording in recordings}
    if len(rates_hz) > 1:
        told = ", ".join(f"{name} has {rate_hz / 1e6:.6g} MS/s" for rate_hz, name in rates_hz.items())
        raise InvalidArgumentError(f"models know bands of one width, and these differ: {told}")


def check_unheard(teachers: Sequence[Recording], judged: Sequence[Recording]) -> None:
    """See that no teacher heard what it is judged on.

    Raises:
        InvalidArgumentError: A recording is on both sides.
    """
    heard = {recording.path for recording in teachers}
    for recording in judged:
        if recording.path in heard:
            raise InvalidArgumentError(f"{recording.name} cannot teach and be judged: leave it out on one side")


def split(recording: Recording, local_s: float) -> tuple[Codes, Codes]:
    """Return the frames of the first seconds, for a student, and those of the rest, to judge it by.

    Raises:
        FailedPreconditionError: Too little is left to judge by.
    """
    local_frames = frames_in(local_s)
    rest_s = (len(recording.codes) - local_frames) * FRAME_SECONDS
    if rest_s < _SHORTEST_REST_S:
        raise FailedPreconditionError(
            f"{recording.name} holds {len(recording.codes) * FRAME_SECONDS:.3f} s, and after {local_s:g} s for the "
            f"student at least {_SHORTEST_REST_S} s must be left to judge it by: name fewer seconds or a longer one"
        )
    return recording.codes[:local_frames], recording.codes[local_frames:]


def frames_in(seconds: float) -> int:
    """Return how many frames begin in that time."""
    return round(seconds / FRAME_SECONDS)


def _finite(iq: Samples) -> Samples:
    if not (iq.size and np.isfinite(iq.view(np.float32)).all()):
        raise InvalidArgumentError("there are no samples, or some are no finite numbers")
    return iq


def _frames_of(iq: Samples, sample_rate_hz: float, center_hz: float) -> Codes:
    maker = FrameMaker(Band(center_hz, sample_rate_hz), sample_rate_hz, center_hz)
    return encode_frames(maker.push(iq), DEFAULT_REFERENCE_DB)


def _read_metadata(path: Path) -> _Metadata:
    try:
        return _Metadata.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: name a SigMF recording by its metadata or its samples") from error
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_url=False)]
        told = "; ".join(f"{place}: {fault}" if place else fault for place, fault in faults)
        raise InvalidArgumentError(f"{path} is no metadata of one capture of one channel: {told}") from error
