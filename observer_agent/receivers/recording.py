"""SigMF recordings as a receiver (SigMF specification 1.2: metadata in JSON, samples in the file beside it)."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import BaseModel, Field

from bandwatch.errors import InvalidArgumentError, NotFoundError, UnavailableError
from bandwatch.spectrogram.samples import item_bytes
from observer_agent.receivers.blocks import BLOCK_SECONDS, Block
from observer_agent.receivers.json_files import read_json_file

_METADATA_SUFFIX: Final = ".sigmf-meta"
_DATA_SUFFIX: Final = ".sigmf-data"
_Frequency = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Global(BaseModel):
    datatype: str = Field(alias="core:datatype")
    sample_rate_hz: _Frequency = Field(alias="core:sample_rate")
    channels: int = Field(1, alias="core:num_channels")


class _Capture(BaseModel):
    center_hz: _Frequency | None = Field(None, alias="core:frequency")


class _Metadata(BaseModel):
    overall: _Global = Field(alias="global")
    captures: list[_Capture] = Field(max_length=1)


class SigmfRecording:
    """Plays one capture of one channel, whole or in part, so many times or again and again.

    Raises:
        NotFoundError: The metadata or the samples are missing.
        InvalidArgumentError: The metadata do not describe a recording that can be played, or nothing is left to play.
    """

    gain_db: float | None = None

    def __init__(
        self,
        path: Path,
        *,
        loop: bool = False,
        passes: int = 1,
        start_s: float = 0.0,
        duration_s: float | None = None,
        center_hz: float | None = None,
    ) -> None:
        if path.suffix != _METADATA_SUFFIX:
            raise InvalidArgumentError(f"{path} is no SigMF metadata: name the file that ends in {_METADATA_SUFFIX}")
        metadata = read_json_file(path, _Metadata)
        if metadata.overall.channels != 1:
            raise InvalidArgumentError(f"{path} holds {metadata.overall.channels} channels; only one can be played")
        self._data = path.with_suffix(_DATA_SUFFIX)
        self._passes = None if loop else passes
        self.datatype = metadata.overall.datatype
        self.description = f"recording {path.name}"
        self.sample_rate_hz = metadata.overall.sample_rate_hz
        self.center_hz = center_hz or _named_center_hz(metadata, path)
        self._item_bytes = _item_bytes(self.datatype, path)
        self._first, self._count = self._slice(start_s, duration_s)

    def _slice(self, start_s: float, duration_s: float | None) -> tuple[int, int]:
        if not self._data.is_file():
            raise NotFoundError(f"there is no file {self._data} with the samples of this recording")
        held = self._data.stat().st_size // self._item_bytes
        first = round(start_s * self.sample_rate_hz)
        count = held - first
        if duration_s is not None:
            count = min(count, round(duration_s * self.sample_rate_hz))
        if count <= 0:
            raise InvalidArgumentError(
                f"{self._data} holds {held / self.sample_rate_hz:.3f} s: nothing is left to play from {start_s:.3f} s"
            )
        return first, count

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks of a tenth of a second; where the recording begins anew there is a discontinuity.

        Raises:
            UnavailableError: The file could not be read to the end.
        """
        played = 0
        with self._data.open("rb") as file:
            while not stop.is_set():
                yield from self._once(file, played, stop)
                played += self._count
                if self._passes is not None and played >= self._passes * self._count:
                    return

    def _once(self, file: BinaryIO, played: int, stop: threading.Event) -> Iterator[Block]:
        file.seek(self._first * self._item_bytes)
        length = max(1, round(BLOCK_SECONDS * self.sample_rate_hz))
        for start in range(0, self._count, length):
            if stop.is_set():
                return
            count = min(length, self._count - start)
            raw = file.read(count * self._item_bytes)
            if len(raw) != count * self._item_bytes:
                raise UnavailableError(f"{self._data} became shorter while it was played")
            yield Block(raw, self.datatype, played + start, count, discontinuity=start == 0 and played > 0)


def _named_center_hz(metadata: _Metadata, path: Path) -> float:
    center_hz = metadata.captures[0].center_hz if metadata.captures else None
    if center_hz is None:
        raise InvalidArgumentError(f"{path} does not say which frequency was recorded: give it with --center-hz")
    return center_hz


def _item_bytes(datatype: str, path: Path) -> int:
    try:
        return item_bytes(datatype)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{path}: {error.message}") from error
