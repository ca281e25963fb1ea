"""Where positions come from: tracks, gpsd, and a file that a modem tool writes."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.geography import distance_m
from observer_agent.places.gpsd import GpsdPositions, parse_report
from observer_agent.places.positions import Fix, ServingCell
from observer_agent.places.serving_cell_file import ServingCellFile
from observer_agent.places.track_file import TrackFile
from tests.unit.observer_agent.gpsd_server import GpsdServer

GPX = """<?xml version="1.0"?>
<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>
<trkpt lat="52.0" lon="13.0"><ele>30</ele><time>2026-01-02T12:00:00Z</time></trkpt>
<trkpt lat="52.0" lon="13.01"><time>2026-01-02T14:01:00+02:00</time></trkpt>
</trkseg></trk></gpx>
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("not within 10 s")


def test_a_gpx_track_is_played_in_step_with_the_samples(tmp_path: Path) -> None:
    track = TrackFile(written(tmp_path, "way.gpx", GPX))
    assert track.duration_s == 60
    start, middle, end = track.at(0), track.at(30), track.at(1000)
    assert (start.latitude_deg, start.longitude_deg) == (52.0, 13.0)
    assert middle.latitude_deg == 52.0
    assert middle.longitude_deg == pytest.approx(13.005)
    assert middle.heading_deg == pytest.approx(90, abs=0.1)
    assert middle.speed_mps == pytest.approx(distance_m(start.point, end.point) / 60)
    assert (end.longitude_deg, end.speed_mps) == (13.01, 0.0)


def test_a_csv_track_may_count_seconds_from_anywhere(tmp_path: Path) -> None:
    text = "latitude_deg,time_s,longitude_deg,accuracy_m\n1,100,5,3\n2,110,5,\n"
    track = TrackFile(written(tmp_path, "way.csv", text))
    assert (track.at(5).latitude_deg, track.at(5).heading_deg, track.at(5).accuracy_m) == (1.5, 0.0, 3.0)


def test_a_csv_track_may_name_moments(tmp_path: Path) -> None:
    text = "time,latitude_deg,longitude_deg\n2026-01-02T12:00:00Z,1,5\n2026-01-02T12:00:10Z,2,5\n"
    assert TrackFile(written(tmp_path, "way.csv", text)).at(5).latitude_deg == 1.5


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("way.csv", "", "no point"),
        ("way.csv", "latitude_deg,longitude_deg\n1,2\n", "time_s"),
        ("way.csv", "time_s,latitude_deg,longitude_deg\n0,91,2\n", "latitude_deg"),
        ("way.csv", "time_s,latitude_deg,longitude_deg\n0,1,2\n0,1,2\n", "rise"),
        ("way.csv", "time_s,latitude_deg,longitude_deg\nnan,1,2\n", "time_s"),
        ("way.csv", "time,latitude_deg,longitude_deg\n2026-01-02T12:00:00,1,2\n", "no track"),
        ("way.gpx", "<gpx><trk>", "cannot be read"),
        ("way.gpx", GPX.replace("<time>2026-01-02T12:00:00Z</time>", ""), "time"),
    ],
)
def test_what_is_no_track_is_refused_with_its_file_and_the_reason(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=reason) as refused:
        TrackFile(written(tmp_path, name, text))
    assert name in refused.value.message


def test_a_track_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"way\.csv"):
        TrackFile(tmp_path / "way.csv")


def test_the_serving_cell_is_what_the_file_says_now(tmp_path: Path) -> None:
    file = tmp_path / "cell"
    source = ServingCellFile(file)
    assert source.at(0) is None
    file.write_text("oak-street\n")
    assert source.at(0) == ServingCell("cells/oak-street")
    file.write_text("cells/elm\n")
    assert source.at(0) == ServingCell("cells/elm")
    file.unlink()
    assert source.at(0) is None


@pytest.mark.parametrize("content", [b"", b"oak", b"\n", b"Oak Street\n", b"cells/\n", b"\xff\xfe\n", b"../x\n"])
def test_what_names_no_cell_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cell").write_bytes(content)
    assert ServingCellFile(tmp_path / "cell").at(0) is None


@pytest.fixture
def gpsd() -> Iterator[GpsdServer]:
    server = GpsdServer()
    yield server
    server.close()


def test_positions_of_gpsd_are_heard_and_other_reports_passed_over(gpsd: GpsdServer) -> None:
    source = GpsdPositions("127.0.0.1", gpsd.port, timeout_s=10)
    assert gpsd.watches.get(timeout=10) == {"enable": True, "json": True}
    assert source.at(0) is None
    gpsd.report(**{"class": "SKY", "lat": 1.0, "lon": 2.0, "mode": 3})
    gpsd.report(**{"class": "TPV", "mode": 1})
    gpsd.send(b'{"class":"TPV","mode":3,"lat":52.5,"lon":13.4,"eph":4.5,"spe')
    gpsd.send(b'ed":12.0,"track":271.5}\r\n')
    until(lambda: source.at(0) is not None)
    assert source.at(0) == Fix(52.5, 13.4, 4.5, 12.0, 271.5)
    source.close()


def test_a_gpsd_that_goes_away_is_asked_again(gpsd: GpsdServer) -> None:
    source = GpsdPositions("127.0.0.1", gpsd.port, timeout_s=10, retry_s=0.01)
    gpsd.watches.get(timeout=10)
    gpsd.report(**{"class": "TPV", "mode": 2, "lat": 1.0, "lon": 1.0})
    until(lambda: source.at(0) is not None)
    gpsd.hang_up()
    gpsd.watches.get(timeout=10)
    assert source.at(0) == Fix(1.0, 1.0), "what it said is still news"
    gpsd.report(**{"class": "TPV", "mode": 2, "lat": 2.0, "lon": 2.0})
    until(lambda: source.at(0) == Fix(2.0, 2.0))
    source.close()


def test_a_position_that_grew_old_says_nothing(gpsd: GpsdServer) -> None:
    source = GpsdPositions("127.0.0.1", gpsd.port, timeout_s=0.2)
    gpsd.watches.get(timeout=10)
    gpsd.report(**{"class": "TPV", "mode": 2, "lat": 1.0, "lon": 1.0})
    until(lambda: source.at(0) is not None)
    until(lambda: source.at(0) is None)
    source.close()


def test_a_gpsd_that_is_not_there_is_no_reason_to_fail() -> None:
    server = GpsdServer()
    server.close()
    source = GpsdPositions("127.0.0.1", server.port, timeout_s=1, retry_s=0.01)
    assert source.at(0) is None
    source.close()


def test_an_endless_line_ends_the_connection(gpsd: GpsdServer) -> None:
    source = GpsdPositions("127.0.0.1", gpsd.port, timeout_s=10, retry_s=0.01)
    gpsd.watches.get(timeout=10)
    gpsd.send(b"x" * 70_000)
    gpsd.watches.get(timeout=10)
    source.close()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_report_are_no_position(line: bytes) -> None:
    assert parse_report(line) is None


def test_an_error_in_two_directions_is_taken_together() -> None:
    line = b'{"class":"TPV","mode":3,"lat":1,"lon":2,"epx":3,"epy":4,"track":360}'
    assert parse_report(line) == Fix(1.0, 2.0, 5.0, None, 0.0)


@pytest.mark.parametrize("broken", [b'"lat":91', b'"lat":null', b'"lat":"NaN"'])
def test_a_position_that_cannot_be_is_none(broken: bytes) -> None:
    assert parse_report(b'{"class":"TPV","mode":3,"lon":2,' + broken + b"}") is None
