"""A simulated cell as a receiver, and playing at the speed of the air."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
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


def test_an_endless_simulation_goes_on_until_it_is_stopped() -> None:
    stop, blocks = threading.Event(), 0
    for _ in SimulatedReceiver(simulation(seconds=None)).blocks(stop):
        blocks += 1
        if blocks == 4:
            stop.set()
    assert blocks == 4


def test_a_file_with_faults_names_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    path.write_text(json.dumps({"cell_identity": 504, "mobility": "flying", "colour": "red"}))
    with pytest.raises(InvalidArgumentError) as caught:
        Simulation.read(path)
    for word in (str(path), "cell_identity", "mobility", "carrier_hz", "colour"):
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
