"""A simulated cell as a receiver, and playing at the speed of the air."""

import json
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.cell import CellConfig
from bandwatch.spectrogram.samples import decode_samples
from observer_agent.receivers.blocks import Block
from observer_agent.receivers.pacing import paced
from observer_agent.receivers.simulated import SimulatedReceiver, Simulation


def simulation(**changes: Any) -> Simulation:
    return Simulation(**{"cell_identity": 7, "resource_blocks": 6, "carrier_hz": 1890e6, "seconds": 0.25, **changes})


def iq_of(receiver: SimulatedReceiver) -> np.ndarray[Any, np.dtype[np.complex64]]:
    blocks = list(receiver.blocks(threading.Event()))
    return np.concatenate([decode_samples(block.raw, block.datatype) for block in blocks])


def test_a_simulation_ends_after_its_seconds() -> None:
    receiver = SimulatedReceiver(simulation())
    blocks = list(receiver.blocks(threading.Event()))
    assert (receiver.sample_rate_hz, receiver.center_hz) == (1.92e6, 1890e6)
    assert [block.first_sample for block in blocks] == [0, 192_000, 384_000]
    assert blocks[-1].end_sample == 480_000


def test_the_same_simulation_gives_the_same_samples() -> None:
    np.testing.assert_array_equal(
        iq_of(SimulatedReceiver(simulation(seed=3))), iq_of(SimulatedReceiver(simulation(seed=3)))
    )


def test_a_later_start_leaves_out_what_came_before() -> None:
    whole = iq_of(SimulatedReceiver(simulation()))
    later = iq_of(SimulatedReceiver(simulation(start_seconds=0.15, seconds=0.1)))
    np.testing.assert_array_equal(later, whole[288_000:])


def test_a_tdd_cell_is_silent_in_its_uplink_subframes() -> None:
    receiver = SimulatedReceiver(simulation(duplex="tdd", tdd_configuration=1, ports=2, signal_to_noise_db=60))
    power = np.abs(iq_of(receiver)[:384_000].reshape(-1, 10, 1920)) ** 2
    silent = power.mean(axis=(0, 2)) < 1e-3 * power.mean()
    assert np.flatnonzero(silent).tolist() == [2, 3, 7, 8]


def test_every_field_of_a_cell_can_be_given_in_the_file(tmp_path: Path) -> None:
    cell = {
        "cell_identity": 9,
        "resource_blocks": 6,
        "load": 0.7,
        "duplex": "tdd",
        "tdd_configuration": 2,
        "special_subframe": 6,
        "ports": 2,
        "mbsfn_subframes": [3, 8],
        "almost_blank_subframes": "10" * 20,
        "reference_boost_db": 3.0,
        "data_offset_db": -3.0,
    }
    assert set(cell) == {field.name for field in fields(CellConfig)}
    path = tmp_path / "cell.json"
    path.write_text(json.dumps({**cell, "carrier_hz": 2.6e9, "seconds": 0.1}))
    described = Simulation.read(path)
    assert described.model_dump(include=set(cell)) == {**cell, "mbsfn_subframes": {3, 8}}
    assert len(iq_of(SimulatedReceiver(described))) == 192_000


def test_an_endless_simulation_goes_on_until_it_is_stopped() -> None:
    stop, blocks = threading.Event(), 0
    for _ in SimulatedReceiver(simulation(seconds=None)).blocks(stop):
        blocks += 1
        if blocks == 4:
            stop.set()
    assert blocks == 4


def test_a_file_with_faults_names_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    path.write_text(
        json.dumps({"cell_identity": 504, "mobility": "flying", "colour": "red", "almost_blank_subframes": "1"})
    )
    with pytest.raises(InvalidArgumentError) as caught:
        Simulation.read(path)
    for word in (str(path), "cell_identity", "mobility", "carrier_hz", "colour", "almost_blank_subframes"):
        assert word in caught.value.message


def test_paced_blocks_come_no_earlier_than_their_samples() -> None:
    blocks = [Block(b"", "ci8", first, 100) for first in (0, 100, 200)]
    begun_s = time.monotonic()
    arrived_s = [time.monotonic() - begun_s for _ in paced(iter(blocks), 2000.0, threading.Event())]
    assert len(arrived_s) == 3
    assert all(arrived >= due for arrived, due in zip(arrived_s, (0.05, 0.1, 0.15), strict=True))


def test_paced_blocks_stop_at_once_when_told_so() -> None:
    stop = threading.Event()
    blocks = paced(iter([Block(b"", "ci8", 0, 10**9)]), 1.0, stop)
    threading.Timer(0.05, stop.set).start()
    assert list(blocks) == []
