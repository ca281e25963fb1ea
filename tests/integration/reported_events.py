"""Events as an observer would report them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import incident_pb2 as pb
from bandwatch.wire.v1 import spectrum_pb2

BOOT: Final = "0f1e2d3c4b5a6978" * 2
CENTER_HZ: Final = 881.5e6
_NUMBERS = itertools.count(1)


def ago(seconds: float) -> datetime:
    """Return the moment so many seconds ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def event(
    number: int,
    *,
    low_mhz: float = 0.3,
    high_mhz: float = 1.3,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    sequence: int | None = None,
    **changes: Any,
) -> pb.Event:
    """Return a report of an event in cell oak, between frequencies that count from the centre of band north."""
    fields: dict[str, Any] = {
        "origin": spectrum_pb2.Origin(boot_id=BOOT, sequence=sequence or next(_NUMBERS)),
        "event_id": f"{number:032x}",
        "cell": "cells/oak",
        "box": pb.SpectrumBox(
            low_hz=CENTER_HZ + low_mhz * 1e6,
            high_hz=CENTER_HZ + high_mhz * 1e6,
            start_time=to_timestamp(start_at or ago(5)),
            end_time=to_timestamp(end_at) if end_at else None,
        ),
        "kind": pb.EVENT_KIND_PARTIAL,
        "kind_confidence": 0.8,
        "severity": pb.SEVERITY_MEDIUM,
        "windows": 16,
        "anomalous_windows": 12,
        "score": "combined",
        "peak_value": 9.5,
        "threshold": 3.5,
        "serial": 1,
        "excess_db": 12.0,
        **changes,
    }
    return pb.Event(**fields)
