"""Frames of a simulated cell without its samples: the fast way.

It gives what `FrameMaker` makes of the samples of the same cell: the same mean to within a few tenths of a decibel, and
the same fluctuation about it.
"""

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.direct.mean import FrameSource
from bandwatch.lte.direct.speckle import Speckle
from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, encode_frames


class DirectFrames:
    """An endless sequence of frames in half-dB codes; any split of reads gives the same.

    Args:
        source: The mean power of frames.
        speckle: Draws them about that mean.
        reference_db: Level of code 0.
    """

    def __init__(self, source: FrameSource, speckle: Speckle, reference_db: float = DEFAULT_REFERENCE_DB) -> None:
        self._source = source
        self._speckle = speckle
        self._reference_db = reference_db
        self._block = np.empty((0, FRAME_BINS), np.uint8)

    def read(self, frames: int) -> NDArray[np.uint8]:
        """Return the next frames, uint8 [frames, 128].

        Raises:
            InvalidArgumentError: The number of frames is negative.
        """
        if frames < 0:
            raise InvalidArgumentError(f"cannot read {frames} frames: ask for 0 or more")
        pieces = [self._block[:frames]]
        self._block = self._block[frames:]
        missing = frames - len(pieces[0])
        while missing:
            block = encode_frames(self._speckle.draw_db(self._source.next_block()), self._reference_db)
            pieces.append(block[:missing])
            self._block = block[missing:]
            missing -= len(pieces[-1])
        return np.concatenate(pieces)
