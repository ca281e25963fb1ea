"""Codes may come compressed; what is stored is plain, and what would not fit what was announced is refused alone."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.wire.codes import compress_codes
from bandwatch.wire.v1.observer_service_pb2 import (
    UPLOAD_OUTCOME_ALREADY_STORED,
    UPLOAD_OUTCOME_REFUSED,
    UPLOAD_OUTCOME_STORED,
    UploadSegmentsRequest,
)
from bandwatch.wire.v1.spectrum_pb2 import CODES_ENCODING_ZSTD
from tests.integration.conftest import Coordinator, Network
from tests.integration.honest_segments import upload

FRAMES = 500
CODES = np.random.default_rng(1).integers(40, 60, (FRAMES, FRAME_BINS), np.uint8).tobytes()


def packed(number: int, codes: bytes, content: bytes) -> UploadSegmentsRequest:
    request = upload(number, frames=FRAMES, codes_digest=hashlib.sha256(codes).hexdigest())
    request.codes, request.encoding = content, CODES_ENCODING_ZSTD
    return request


async def send(coordinator: Coordinator, network: Network, *requests: UploadSegmentsRequest) -> list[Any]:
    async with coordinator.observer(network.tokens["roof"]) as service:
        return [answer async for answer in service.UploadSegments(iter(requests))]


async def test_compressed_codes_are_stored_plain_under_the_digest_of_the_plain_ones(
    coordinator: Coordinator, network: Network
) -> None:
    small = compress_codes(CODES)
    assert small is not None
    plain = upload(1, frames=FRAMES, codes_digest=hashlib.sha256(CODES).hexdigest())
    plain.codes = CODES
    answers = await send(coordinator, network, packed(1, CODES, small), plain)
    assert [answer.outcome for answer in answers] == [UPLOAD_OUTCOME_STORED, UPLOAD_OUTCOME_ALREADY_STORED]
    blobs = BlobStore(Path(coordinator.settings.blob_dir) / "segments")
    assert blobs.read(hashlib.sha256(CODES).hexdigest()) == CODES


@pytest.mark.fault(
    "a compressed segment that swells to gigabytes",
    "it is refused alone, the rest is stored",
)
async def test_a_bomb_and_other_frames_are_refused_alone_and_the_rest_is_stored(
    coordinator: Coordinator, network: Network
) -> None:
    small = compress_codes(CODES)
    assert small is not None
    bomb = zstandard.ZstdCompressor().compress(bytes(200_000_000))
    answers = await send(
        coordinator,
        network,
        packed(1, CODES, bomb),
        packed(2, CODES, b"no frame at all"),
        packed(3, CODES, small),
        packed(4, b"other codes", small),
    )
    outcomes = [(answer.outcome, answer.code) for answer in answers]
    assert outcomes == [
        (UPLOAD_OUTCOME_REFUSED, "invalid_argument"),
        (UPLOAD_OUTCOME_REFUSED, "invalid_argument"),
        (UPLOAD_OUTCOME_STORED, ""),
        (UPLOAD_OUTCOME_REFUSED, "corrupt"),
    ]
    assert "64000 bytes" in answers[0].reason
