"""Networks: what a file may say, and that the same file is the same radio, by place, hour and week."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.network.load import DAY_S, WEEK_S, DailyLoad
from bandwatch.lte.network.network import Network, paper_network, parse_network, read_network
from bandwatch.lte.network.place import Track
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker

TOWN = """
seed = 7

[[bands]]
id = "band"
center_hz = 881.5e6
width_hz = 1.92e6

[[bands]]
id = "users"
center_hz = 830e6
width_hz = 1.92e6
direction = "uplink"

[[cells]]
id = "cell"
band = "band"
identity = 7
resource_blocks = 6
load_day = 0.8
load_night = 0.1
growth_per_week = 0.05

[[cells]]
id = "neighbour"
band = "band"
identity = 8
resource_blocks = 6
position_m = [1500.0, 0.0]

[[cells]]
id = "uplink"
band = "users"
identity = 7
resource_blocks = 6
power_dbm = 20.0

[[observers]]
id = "window"
cell = "cell"
position_m = [400.0, 0.0]

[[observers]]
id = "street"
cell = "cell"
position_m = [0.0, 500.0]

[[observers]]
id = "cellar"
cell = "cell"
position_m = [400.0, 0.0]
indoor = true

[[observers]]
id = "car"
cell = "cell"
position_m = [300.0, 300.0]
mobility = "driving"

[[observers]]
id = "roof"
cell = "uplink"
position_m = [200.0, 0.0]

[[anomalies]]
observer = "street"
kind = "ofdm-1mhz"
start_s = 100000.2
stop_s = 100000.4
ratio_db = 10.0
"""
OBSERVERS = ("window", "street", "car", "roof")
NIGHT_S, DAY_TIME_S = 5 * 3600.0, 17 * 3600.0


@pytest.fixture(scope="module")
def town() -> Network:
    """Give a town of two cells and an uplink."""
    return parse_network(TOWN)


def power_db(codes: NDArray[np.uint8]) -> float:
    """Return the mean power over the middle of the band in dB, without reference."""
    return float(10 * np.log10(np.mean(10 ** (codes[:, 40:88].astype(np.float64) / 20))))


@pytest.mark.parametrize("observer", OBSERVERS)
def test_the_same_arguments_give_the_same_frames(town: Network, observer: str) -> None:
    first, second = town.frames(observer, 3600.5, 0.1), parse_network(TOWN).frames(observer, 3600.5, 0.1)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (391, 128)
    assert first.dtype == np.uint8


@pytest.mark.parametrize(("start_s", "episode"), [(3601.5, 0), (3600.5, 1)])
def test_another_time_or_episode_gives_other_frames(town: Network, start_s: float, episode: int) -> None:
    first, second = town.frames("window", 3600.5, 0.1), town.frames("window", start_s, 0.1, episode=episode)
    assert np.mean(first != second) > 0.5


def test_more_seconds_only_go_on(town: Network) -> None:
    np.testing.assert_array_equal(town.frames("car", 50.0, 0.7)[:391], town.frames("car", 50.0, 0.1))


def test_observers_of_one_cell_hear_the_same_traffic(town: Network) -> None:
    levels = {name: town.frames(name, DAY_TIME_S, 1.0)[:, 40:88].mean(axis=1) for name in ("window", "street", "car")}
    other = town.frames("street", DAY_TIME_S, 1.0, episode=1)[:, 40:88].mean(axis=1)
    assert np.corrcoef(levels["window"], levels["street"])[0, 1] > 0.8
    assert np.corrcoef(levels["window"], levels["car"])[0, 1] > 0.5
    assert np.corrcoef(levels["window"], other)[0, 1] < 0.6


def test_a_static_observer_has_the_same_surroundings_at_any_time(town: Network) -> None:
    def outline(name: str, start_s: float) -> NDArray[np.float64]:
        spectrum: NDArray[np.float64] = town.frames(name, start_s, 2.0)[:, 32:96].mean(axis=0)
        level: NDArray[np.float64] = spectrum - spectrum.mean()
        return level

    here, later, elsewhere = outline("window", 10.0), outline("window", 5 * DAY_S), outline("street", 10.0)
    assert np.abs(here - later).mean() < np.abs(here - elsewhere).mean()


def test_the_day_is_busier_than_the_night(town: Network) -> None:
    night, day = (
        np.mean([power_db(town.frames("window", start_s + k, 1.0)) for k in range(3)])
        for start_s in (NIGHT_S, DAY_TIME_S)
    )
    assert day - night > 1.5


def test_the_load_is_smooth_between_day_and_night_and_grows() -> None:
    load = DailyLoad(day=0.6, night=0.1, growth_per_week=0.1)
    assert DailyLoad(0.6, 0.1).at(DAY_TIME_S) == pytest.approx(0.6)
    assert DailyLoad(0.6, 0.1).at(NIGHT_S + 3 * DAY_S) == pytest.approx(0.1)
    hours = [DailyLoad(0.6, 0.1).at(hour * 3600.0) for hour in range(25)]
    assert max(abs(after - before) for before, after in pairwise(hours)) < 0.07
    assert load.at(DAY_TIME_S + 2 * WEEK_S) == pytest.approx(load.at(DAY_TIME_S) * 1.21)
    assert load.at(DAY_TIME_S + 20 * WEEK_S) == 1.0


def test_walls_take_20_db_of_all_but_the_noise(town: Network) -> None:
    outside, inside = (power_db(town.frames(name, DAY_TIME_S, 0.5)) for name in ("window", "cellar"))
    assert 12 < outside - inside < 20.5


def test_a_moving_observer_goes_round_its_circle() -> None:
    track = Track((10.0, 20.0), radius_m=50.0, speed_mps=2.0)
    times_s = np.linspace(0, 400, 4001)
    east_m, north_m = track.at(times_s)
    np.testing.assert_allclose(np.hypot(east_m - 10, north_m - 20), 50)
    way_m = np.hypot(np.diff(east_m), np.diff(north_m)).sum()
    assert way_m == pytest.approx(800, rel=1e-4)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_samples_and_frames_are_of_the_same_scene(town: Network, observer: str) -> None:
    frames = town.frames(observer, DAY_TIME_S, 0.3)
    samples = town.samples(observer, DAY_TIME_S)
    maker = FrameMaker(Band(1e9, 1.92e6), samples.sample_rate_hz, 1e9)
    by_samples = maker.push(samples.read(round(0.3 * samples.sample_rate_hz)))
    levels = frames[: len(by_samples), 36:92].mean(axis=1) / 2 + DEFAULT_REFERENCE_DB, by_samples[:, 36:92].mean(axis=1)
    assert np.corrcoef(*levels)[0, 1] > 0.95
    assert levels[0].mean() == pytest.approx(levels[1].mean(), abs=0.3)


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(0, 700_000), max_size=3))
def test_any_split_of_samples_gives_the_same_stream(town: Network, cuts: list[int]) -> None:
    anomalies = (Anomaly("qpsk-200khz", 0.05, 0.3, 0.0),)
    whole, split = town.samples("window", 9.0, anomalies), town.samples("window", 9.0, anomalies)
    pieces = [split.read(stop - start) for start, stop in pairwise([0, *sorted(cuts), 700_000])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.read(700_000))
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        whole.read(-1)


def test_anomalies_come_when_they_are_asked_for(town: Network) -> None:
    plain = town.frames("window", 60.0, 0.3)
    changed = town.frames("window", 60.0, 0.3, [Anomaly("ofdm-1mhz", 0.1, 0.2, 10.0)])
    differ = np.flatnonzero((plain != changed).any(axis=1))
    assert differ[0] >= int(0.1 / FRAME_SECONDS)
    assert power_db(changed[400:780]) > power_db(plain[400:780]) + 3


def test_anomalies_of_the_network_come_at_their_hour_and_only_there(town: Network) -> None:
    lines = TOWN.partition("[[anomalies]]")[0]
    calm = parse_network(lines)
    with_it, without = (network.frames("street", 100_000.0, 0.6) for network in (town, calm))
    differ = np.flatnonzero((with_it != without).any(axis=1)) * FRAME_SECONDS
    assert differ[0] == pytest.approx(0.2, abs=0.001)
    # What comes after is drawn alike.
    assert differ[-1] == pytest.approx(0.4, abs=0.001)
    for name, start_s in (("window", 100_000.0), ("street", 90_000.0)):
        np.testing.assert_array_equal(town.frames(name, start_s, 0.5), calm.frames(name, start_s, 0.5))
    for_all = parse_network(TOWN.replace('observer = "street"\nkind', 'cell = "cell"\nkind'))
    assert not np.array_equal(for_all.frames("window", 100_000.0, 0.5), calm.frames("window", 100_000.0, 0.5))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seed = 7", "seed = = 7", "no TOML"),
        ("seed = 7", "seed = -7", "seed: Input should be greater than or equal to 0"),
        ("identity = 8", "identity = 504", r"cells\.1\.identity"),
        ("identity = 8", "identity = 8\ncolour = 3", r"cells\.1\.colour"),
        ('id = "neighbour"', 'id = "cell"', "two cells 'cell'"),
        ('cell = "uplink"', 'cell = "nowhere"', "observer 'roof' names 'nowhere', which is not there"),
        ('band = "users"', 'band = "nobody"', "cell 'uplink' names 'nobody'"),
        ("identity = 8", 'identity = 8\nalmost_blank_subframes = "01"', "cell 'neighbour': '01'"),
        ("identity = 8\nresource_blocks = 6", "identity = 8\nresource_blocks = 15", "differ in resource_blocks"),
        ('observer = "street"\nkind', "kind", "anomaly 1 needs either an observer or a cell"),
        ('observer = "street"\nkind', 'observer = "nobody"\nkind', "anomaly 1 names 'nobody'"),
        ('kind = "ofdm-1mhz"', 'kind = "rain"', "anomaly 1: 'rain' is no kind"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place_of_the_fault(old: str, new: str, sentence: str) -> None:
    assert old in TOWN
    with pytest.raises(InvalidArgumentError, match=sentence):
        parse_network(TOWN.replace(old, new, 1))


def test_an_unknown_observer_is_not_found(town: Network) -> None:
    with pytest.raises(NotFoundError, match="choose from window, street"):
        town.frames("attic", 0.0, 1.0)


@pytest.mark.parametrize(("start_s", "seconds", "episode"), [(-1, 1, 0), (0, -1, 0), (0, 1, -1), (float("nan"), 1, 0)])
def test_impossible_times_are_refused(town: Network, start_s: float, seconds: float, episode: int) -> None:
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        town.frames("window", start_s, seconds, episode=episode)


def test_a_network_is_read_from_a_file(tmp_path: Path, town: Network) -> None:
    path = tmp_path / "town.toml"
    path.write_text(TOWN)
    assert read_network(path).description == town.description
    path.write_text("seed = oops")
    with pytest.raises(InvalidArgumentError, match=r"town\.toml: the network is no TOML"):
        read_network(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_network(path)
    with pytest.raises(NotFoundError, match="there is no file"):
        read_network(tmp_path / "village.toml")


def test_the_network_of_the_paper_has_its_bands_and_six_observers_for_each_cell() -> None:
    network = paper_network()
    description = network.description
    assert [(band.center_hz, band.direction) for band in description.bands] == [
        (881.5e6, "downlink"),
        (751e6, "downlink"),
        (731.5e6, "downlink"),
        (830e6, "uplink"),
    ]
    assert [sum(cell.band == band.id for cell in description.cells) for band in description.bands] == [3, 2, 1, 1]
    for cell in description.cells:
        mobilities = [observer.mobility for observer in description.observers if observer.cell == cell.id]
        assert sorted(mobilities) == ["driving", "static", "static", "static", "static", "walking"]
    frames = network.frames("730-a-street", DAY_TIME_S, 0.1)
    assert np.ptp(frames[:, 20:108].mean(axis=1)) > 2
    assert frames.min() > 0
    assert frames.max() < 255
