"""Simulated radio: what observers of a shared network hear, when, and how an agent takes finished frames."""

import math
import threading
import time

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.geography import distance_m
from bandwatch.lte.network.network import Network
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from observer_agent.detection.detector import DetectionOptions
from observer_agent.detection.pipeline import Pipeline
from observer_agent.detection.self_test import begin
from observer_agent.receivers.blocks import FINISHED_FRAMES, Block
from observer_agent.simulation.fleet import to_point
from observer_agent.simulation.radio import SimulatedPositions, SimulatedRadio
from tests.unit.observer_agent.simulated_town import observer, radio, town

BAND = Band(1890e6, 1.92e6)
OPTIONS = DetectionOptions()


def hear(receiver: SimulatedRadio, looks: int) -> list[Block]:
    """Return the blocks of so many looks."""
    heard: list[Block] = []
    for block in receiver.blocks(threading.Event()):
        heard.append(block)
        if sum(each.discontinuity for each in heard) > looks:
            return heard[:-1]
    return heard


def test_a_look_is_what_the_network_gives_its_observer_at_that_time() -> None:
    shared = radio(0.4, 0.7, start_s=7200.0)
    blocks = hear(SimulatedRadio(shared, observer("roof"), 0.0), looks=1)
    begins_s = blocks[0].first_sample * FRAME_SECONDS
    expected = Network(town()).frames("roof", 7200.0 + round(begins_s, 2), 0.4)
    heard = np.frombuffer(b"".join(block.raw for block in blocks), np.uint8).reshape(-1, 128)
    np.testing.assert_array_equal(heard, expected)
    assert {block.datatype for block in blocks} == {FINISHED_FRAMES}
    assert [block.discontinuity for block in blocks] == [True, False, False, False]
    assert [block.first_sample for block in blocks[1:]] == [block.end_sample for block in blocks[:-1]]


def test_looks_come_once_in_a_period_each_after_it_is_over_and_at_another_moment_for_each_observer() -> None:
    shared = radio(0.1, 0.5)
    blocks = hear(SimulatedRadio(shared, observer("roof"), 0.4), looks=3)
    begin_s = [block.first_sample * FRAME_SECONDS for block in blocks if block.discontinuity]
    assert [(moment_s - 0.1) % 0.5 for moment_s in begin_s] == pytest.approx([0.1, 0.1, 0.1], abs=1e-3)
    assert np.diff(begin_s) == pytest.approx([0.5, 0.5], abs=1e-3)
    assert shared.stream_s >= begin_s[-1] + 0.1


def test_what_there_is_no_time_for_is_left_out_and_counted() -> None:
    shared = radio(0.1, 0.2)
    receiver = SimulatedRadio(shared, observer("roof"), 0.0)
    blocks = receiver.blocks(threading.Event())
    first = next(blocks)
    time.sleep(1.0)  # the agent is busy for five periods: this is what is tried
    second = next(blocks)
    between_s = (second.first_sample - first.first_sample) * FRAME_SECONDS
    assert between_s >= 0.9
    assert receiver.looks.left_out == round(between_s / 0.2) - 1
    assert receiver.looks.heard == 2


def test_who_ends_a_receiver_need_not_wait_for_its_next_look() -> None:
    receiver = SimulatedRadio(radio(0.1, 3600.0), observer("roof"), 0.5)
    heard: list[Block] = []
    listening = threading.Thread(target=lambda: heard.extend(receiver.blocks(threading.Event())))
    listening.start()
    while receiver._stop is None:
        time.sleep(0.01)
    receiver.end()
    listening.join(10)
    assert not listening.is_alive()
    assert heard == []


def test_who_drives_hears_the_cell_whose_middle_is_nearest_and_knows_where_it_is() -> None:
    shared, van = radio(0.1, 1.0), observer("van")
    positions = SimulatedPositions(shared, van)
    half_way_s = math.pi * 300.0 / 30.0
    assert [van.cell_at(0.0), van.cell_at(half_way_s)] == ["elm-road", "oak-street"]
    east, west = positions.at(0.0), positions.at(half_way_s)
    assert distance_m(east.point, to_point((600.0, 0.0))) == pytest.approx(0, abs=1)
    assert distance_m(east.point, west.point) == pytest.approx(600, rel=1e-3)
    assert east.speed_mps == 30.0
    assert east.heading_deg == pytest.approx(357, abs=1)  # anticlockwise on the circle: north at its east


def test_an_agent_takes_finished_frames_as_they_are() -> None:
    receiver = SimulatedRadio(radio(0.4, 0.5), observer("roof"), 0.0)
    blocks = hear(receiver, looks=1)
    pipeline = Pipeline(receiver, BAND, OPTIONS)
    batches = [pipeline.push(block, None) for block in blocks]
    assert b"".join(batch.codes.tobytes() for batch in batches) == b"".join(block.raw for block in blocks)
    assert {batch.clipped_share for batch in batches} == {0.0}
    assert batches[1].run.sample_of(batches[1].first_frame) == blocks[1].first_sample


def test_finished_frames_of_another_band_are_refused_with_what_to_do() -> None:
    receiver = SimulatedRadio(radio(0.1, 0.5), observer("roof"), 0.0)
    with pytest.raises(InvalidArgumentError, match=r"1\.92 MHz around 1890 MHz, not of 5 MHz .* make the two bands"):
        Pipeline(receiver, Band(1890e6, 5e6), OPTIONS)


def test_a_self_test_finds_that_finished_frames_cannot_show_its_anomaly() -> None:
    receiver = SimulatedRadio(radio(0.1, 0.5), observer("roof"), 0.0)
    assert begin("selfTests/t1", receiver, BAND, 0) is None
