"""Frames of a simulated cell straight from energies against the same cell's samples made into frames, on one core.

Both give half-dB codes of one observer of a network of one cell: 25 resource blocks in a band of 5 MHz, a load of a
half. "Direct" is what `Network.frames` runs on; "by samples" reads the samples of the same scene and puts them through
`FrameMaker`. They take turns. Set-up and a first block are not counted.

Factors are seconds of signal per second of processor time. Set OMP_NUM_THREADS=1: one core is meant.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bandwatch.lte.network.description import describe_network
from bandwatch.lte.network.frames import scene_frames
from bandwatch.lte.network.samples import SceneSamples
from bandwatch.lte.network.scene import Scene, SceneBuilder
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames

CASES: Final = {
    "downlink, static": ("downlink", "static", 1),
    "downlink, walking": ("downlink", "walking", 1),
    "downlink, driving": ("downlink", "driving", 1),
    "downlink, driving, 2 ports": ("downlink", "driving", 2),
    "uplink, static": ("uplink", "static", 1),
}
NETWORK: Final = """
[[bands]]
id = "band"
center_hz = 881.5e6
direction = "{direction}"

[[cells]]
id = "cell"
band = "band"
identity = 1
ports = {ports}
load_day = 0.5
load_night = 0.5

[[observers]]
id = "observer"
cell = "cell"
position_m = [600.0, 0.0]
mobility = "{mobility}"
"""
BLOCK_SECONDS: Final = 0.32
"""Signal that both methods make at a time."""


@dataclass(frozen=True)
class Pass:
    """One way through the signal: its factor of real time."""

    case: str
    method: str
    factor: float


class Direct:
    """Frames without samples."""

    def __init__(self, scene: Scene) -> None:
        self._frames = scene_frames(scene)

    def run(self, seconds: float) -> None:
        """Make that much of it."""
        self._frames.read(round(seconds / FRAME_SECONDS))


class BySamples:
    """Samples, then frames."""

    def __init__(self, scene: Scene) -> None:
        self._samples = SceneSamples(scene)
        band = Band(scene.band.center_hz, scene.band.width_hz)
        self._maker = FrameMaker(band, self._samples.sample_rate_hz, band.center_hz)

    def run(self, seconds: float) -> None:
        """Make that much of it."""
        for _ in range(round(seconds / BLOCK_SECONDS)):
            iq = self._samples.read(round(BLOCK_SECONDS * self._samples.sample_rate_hz))
            encode_frames(self._maker.push(iq), DEFAULT_REFERENCE_DB)


def main() -> None:
    """Run the comparison and print it as a Markdown table."""
    options = _parse()
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    os.sched_setaffinity(0, {core})
    passes = [one for case in CASES for one in _compare(case, options)]
    print(_table(passes))
    if options.json:
        options.json.write_text(json.dumps({"core": core, "passes": [asdict(one) for one in passes]}, indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--seconds", type=float, default=3.2, help="signal of one direct pass; samples make a fifth of it"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--core", type=int, help="number of the core to run on; the last one when absent")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    return parser.parse_args()


def _compare(case: str, options: argparse.Namespace) -> Iterator[Pass]:
    """Let both methods take turns."""
    methods: dict[str, tuple[Callable[[float], None], float]] = {
        "direct": (Direct(_scene(case)).run, options.seconds),
        "samples": (BySamples(_scene(case)).run, max(options.seconds / 5, BLOCK_SECONDS)),
    }
    for run, _ in methods.values():
        run(BLOCK_SECONDS)
    for _ in range(options.repeats):
        for method, (run, seconds) in methods.items():
            begin_s = time.process_time()
            run(seconds)
            yield Pass(case, method, seconds / (time.process_time() - begin_s))


def _scene(case: str) -> Scene:
    """Return what the observer hears from noon on."""
    direction, mobility, ports = CASES[case]
    network = describe_network(NETWORK.format(direction=direction, mobility=mobility, ports=ports))
    return SceneBuilder(network, network.observers[0], start_s=12 * 3600.0, episode=0).scene(())


def _table(passes: Sequence[Pass]) -> str:
    """Return medians, with the least and the most in brackets."""
    lines = ["| case | direct, x real time | by samples, x real time | times faster |", "| --- | --- | --- | --- |"]
    for case in CASES:
        direct, samples = (
            [one.factor for one in passes if (one.case, one.method) == (case, method)]
            for method in ("direct", "samples")
        )
        faster = [ours / theirs for ours, theirs in zip(direct, samples, strict=True)]
        lines.append(f"| {case} | {' | '.join(map(_spread, (direct, samples, faster)))} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
