"""A recorded or planned way, played in step with the samples (GPX 1.0 and 1.1, or CSV)."""

import csv
import io
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final
from xml.etree import ElementTree as ET

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.geography import Point, bearing_deg, between, distance_m
from observer_agent.places.positions import Fix

_LARGEST_BYTES: Final = 64 << 20


class TrackPoint(BaseModel):
    """A position at a time: seconds, or a moment with its offset from UTC."""

    time_s: Annotated[float, Field(allow_inf_nan=False)]
    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    accuracy_m: Annotated[float, Field(ge=0, le=1e7)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, data: Any) -> Any:
        known = {name: value for name, value in data.items() if value not in (None, "")}
        if "time" in known and "time_s" not in known:
            moment = TypeAdapter(AwareDatetime).validate_python(known["time"])
            known["time_s"] = moment.timestamp()
        return known

    @property
    def point(self) -> Point:
        """The position alone."""
        return Point(self.latitude_deg, self.longitude_deg)


class TrackFile:
    """Plays a track: its first point is where the stream starts; between points the observer goes straight ahead.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: It is no track, or its times do not rise.
    """

    def __init__(self, path: Path) -> None:
        self._points = _read(path)
        self._times_s = [point.time_s - self._points[0].time_s for point in self._points]
        if any(later <= earlier for earlier, later in pairwise(self._times_s)):
            raise InvalidArgumentError(f"{path}: the times of a track must rise from point to point")
        self.description = f"track {path.name}"

    @property
    def duration_s(self) -> float:
        """Time from the first point to the last."""
        return self._times_s[-1]

    def at(self, stream_s: float) -> Fix:
        """Return the position at a moment of the stream; after its end the observer stays where it is."""
        behind = bisect_right(self._times_s, max(0.0, stream_s)) - 1
        start = self._points[behind]
        if behind + 1 == len(self._points):
            return Fix(start.latitude_deg, start.longitude_deg, start.accuracy_m, speed_mps=0.0)
        stop, span_s = self._points[behind + 1], self._times_s[behind + 1] - self._times_s[behind]
        here = between(start.point, stop.point, (max(0.0, stream_s) - self._times_s[behind]) / span_s)
        way_m = distance_m(start.point, stop.point)
        heading = bearing_deg(start.point, stop.point) if way_m else None
        return Fix(*here, start.accuracy_m, way_m / span_s, heading)

    def close(self) -> None:
        """Hold nothing."""


def _read(path: Path) -> list[TrackPoint]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InvalidArgumentError(f"{path} is larger than {_LARGEST_BYTES >> 20} MiB: cut the track into parts")
        text = path.read_text(encoding="utf-8-sig")
        rows = _gpx_rows(text) if path.suffix.lower() == ".gpx" else list(csv.DictReader(io.StringIO(text)))
        points = TypeAdapter(list[TrackPoint]).validate_python(rows)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error, ET.ParseError) as error:
        raise InvalidArgumentError(f"{path} cannot be read as a track: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidArgumentError(
            f"{path} is no track: point {place}: {first['msg']}; a GPX file needs a time in every point, "
            "and a CSV file the columns time_s (or time), latitude_deg and longitude_deg"
        ) from error
    if not points:
        raise InvalidArgumentError(f"{path} holds no point of a track")
    return points


def _gpx_rows(text: str) -> list[dict[str, Any]]:
    root = ET.fromstring(text)  # noqa: S314 - the operator's own file; expat itself bounds how far entities grow
    return [
        {
            "time": point.findtext("{*}time"),
            "latitude_deg": point.get("lat"),
            "longitude_deg": point.get("lon"),
        }
        for point in root.iterfind(".//{*}trkpt")
    ]
