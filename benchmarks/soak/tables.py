"""The tables of a soak."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter

from benchmarks.soak.books import Books, Training
from benchmarks.soak.faults import Recovery
from benchmarks.soak.samples import ProcessLook, Sample

MINUTES = (5.0, 15.0)
_NEAR_MINUTES = 0.5
_FEWEST = 4
"""Samples without which no slope is told."""
BY_DESIGN = frozenset(
    {
        "anomalies",
        "audit_entries",
        "capture_orders",
        "deliveries",
        "events",
        "incidents",
        "models",
        "release_metadata",
        "releases",
        "rollout_members",
        "run_segments",
        "segments",
        "statistics",
        "statistics_scores",
        "training_runs",
    }
)
"""Tables that grow with what the fleet hears and trains, as docs/operating.md says."""

Points = Sequence[tuple[float, float]]


def tables(
    samples: Sequence[Sample], observers: int, recoveries: Sequence[Recovery], training: Training, books: Books
) -> str:
    """Return everything as Markdown."""
    parts = (
        _memory(samples),
        _open_files(samples),
        _streams(samples, observers),
        _rows(samples, observers),
        _folders(samples),
        _faults(recoveries),
        _training(training),
        _books(books),
    )
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _memory(samples: Sequence[Sample]) -> str:
    heads = ["program", "starts", "longest life, min", *_moments("MB"), "MB an hour"]
    rows = []
    for name in _programs(samples):
        looks = _looks(samples, name)
        lived, lives = _longest_life(looks)
        life_min = f"{lived[-1][0] - lived[0][0]:.1f}"
        megabytes = [(minute, look.megabytes) for minute, look in looks]
        slope = _slope([(minute, look.megabytes) for minute, look in lived])
        rows.append([name, str(lives), life_min, *_at_moments(megabytes), slope])
    return _table(heads, rows)


def _open_files(samples: Sequence[Sample]) -> str:
    heads = ["program", *_moments("files"), "files an hour", *_moments("threads"), "threads an hour"]
    rows = []
    for name in _programs(samples):
        looks = _looks(samples, name)
        lived, _ = _longest_life(looks)
        row = [name]
        for of in (attrgetter("files"), attrgetter("threads")):
            row += _at_moments([(minute, of(look)) for minute, look in looks])
            row.append(_slope([(minute, of(look)) for minute, look in lived]))
        rows.append(row)
    return _table(heads, rows)


def _programs(samples: Sequence[Sample]) -> list[str]:
    return list(dict.fromkeys(name for sample in samples for name in sample.processes))


def _looks(samples: Sequence[Sample], name: str) -> list[tuple[float, ProcessLook]]:
    return [(sample.minute, sample.processes[name]) for sample in samples if name in sample.processes]


def _longest_life(looks: Sequence[tuple[float, ProcessLook]]) -> tuple[list[tuple[float, ProcessLook]], int]:
    """Return the looks at the start of a program that was seen most often, and how many starts were seen."""
    lives = Counter(look.life for _, look in looks)
    longest, _ = lives.most_common(1)[0]
    return [(minute, look) for minute, look in looks if look.life == longest], len(lives)


def _moments(what: str) -> list[str]:
    return [*(f"{what} at {minute:g} min" for minute in MINUTES), f"{what} at the end"]


def _at_moments(points: Points) -> list[str]:
    return [*(_at(points, minute) for minute in MINUTES), f"{points[-1][1]:.0f}" if points else "-"]


def _at(points: Points, minute: float) -> str:
    """Return the value nearest to a minute, if there is one near."""
    nearest = min(points, key=lambda point: abs(point[0] - minute), default=(math.inf, 0.0))
    return f"{nearest[1]:.0f}" if abs(nearest[0] - minute) <= _NEAR_MINUTES else "-"


def _slope(points: Points) -> str:
    """Return by how much something grows in an hour over the second half of its time, with the standard error."""
    half = (points[0][0] + points[-1][0]) / 2 if points else 0.0
    later = [(minute / 60, value) for minute, value in points if minute >= half]
    if len(later) < _FEWEST:
        return "-"
    hours, values = zip(*later, strict=True)
    slope, begin = statistics.linear_regression(hours, values)
    rest = sum((value - begin - slope * hour) ** 2 for hour, value in later) / (len(later) - 2)
    return f"{slope:.1f} ± {math.sqrt(rest / len(later)) / statistics.pstdev(hours):.1f}"


def _streams(samples: Sequence[Sample], observers: int) -> str:
    """Show streams of all coordinators together, and what these say of the fleet, but nothing that was never there."""
    whole = [sample for sample in samples if len(sample.streams) > 1]
    courses: dict[str, list[tuple[float, float]]] = {}
    for sample in whole:
        for method in {method for each in sample.streams.values() for method in each}:
            name = f"streams of Watch, by {observers} observers" if method == "Watch" else f"streams of {method}"
            value = sum(each.get(method, 0.0) for each in sample.streams.values())
            courses.setdefault(name, []).append((sample.minute, value))
        for name, value in sample.fleet.items():
            courses.setdefault(name, []).append((sample.minute, value))
    heads = ["the coordinators say", *_moments("count"), "in the middle", "at most"]
    rows = []
    for name, points in sorted(courses.items()):
        values = [value for _, value in points]
        if any(values):
            rows.append([name, *_at_moments(points), f"{statistics.median(values):.0f}", f"{max(values):.0f}"])
    return _table(heads, rows)


def _rows(samples: Sequence[Sample], observers: int) -> str:
    seen = [sample for sample in samples if sample.tables]
    rows = []
    for name, last in seen[-1].tables.items() if seen else ():
        if last.rows:
            counts = [(sample.minute, sample.tables[name].rows / observers) for sample in seen]
            sizes = [(sample.minute, sample.tables[name].megabytes) for sample in seen]
            first = str(seen[0].tables[name].rows)
            design = "yes" if name in BY_DESIGN else "no"
            rows.append([name, first, str(last.rows), _slope(counts), f"{last.megabytes:.1f}", _slope(sizes), design])
    whole = [(sample.minute, sample.database_megabytes) for sample in seen if sample.database_megabytes is not None]
    if whole:
        rows.append(["the whole database", "", "", "", f"{whole[-1][1]:.1f}", _slope(whole), ""])
    heads = ["table", "rows at first", "rows at the end", "rows an observer and hour", "MB at the end", "MB an hour"]
    return _table([*heads, "grows by design"], rows)


def _folders(samples: Sequence[Sample]) -> str:
    rows = []
    for name, last in samples[-1].folders.items():
        files = [(sample.minute, sample.folders[name].files) for sample in samples]
        sizes = [(sample.minute, sample.folders[name].megabytes) for sample in samples]
        rows.append([name, str(last.files), _slope(files), f"{last.megabytes:.1f}", _slope(sizes)])
    return _table(["folder", "files at the end", "files an hour", "MB at the end", "MB an hour"], rows)


def _faults(recoveries: Sequence[Recovery]) -> str:
    by_kind: dict[str, list[Recovery]] = {}
    for one in sorted(recoveries, key=lambda one: one.what):
        by_kind.setdefault(one.what, []).append(one)
    rows = [
        [
            what,
            str(len(ours)),
            _spread([one.held_up for one in ours], 0),
            _spread([one.latest_s for one in ours]),
            _spread([one.delivered_after_s for one in ours]),
        ]
        for what, ours in by_kind.items()
    ]
    return _table(["fault", "times", "segments held up", "latest by, s", "all delivered again after, s"], rows)


def _spread(values: Sequence[float], digits: int = 1) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def _training(training: Training) -> str:
    row = [
        _listed(training.runs),
        str(training.tried_again),
        f"{training.middle_s:.0f}",
        f"{training.longest_s:.0f}",
        _listed(training.releases),
    ]
    heads = ["runs", "tried more than once", "from order to end, middle, s", "longest, s", "releases"]
    return _table(heads, [row])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"


def _books(books: Books) -> str:
    rows = [
        ["made", str(books.made)],
        ["acknowledged", str(books.acknowledged)],
        ["stored", str(books.stored)],
        ["**lost**: acknowledged, not stored whole", f"**{books.lost}**"],
        ["**duplicated**", f"**{books.duplicated}**"],
        ["stored, not acknowledged", str(books.unanswered)],
        ["refused", str(books.refused)],
        ["given up by agents", str(books.given_up)],
        ["held by agents in the end", str(books.held)],
        ["looks at the radio left out", str(books.left_out)],
        ["radio late by at most, s", f"{books.radio_late_s:.1f}"],
        ["agents that ended early", "; ".join(books.ended_early) or "0"],
    ]
    return _table(["segments", "count"], rows)


def progress(sample: Sample, observers: int, minutes: float) -> str:
    """Return one line about a sample."""
    segments, watches = sample.tables.get("segments"), sample.watches
    told = f"{segments.rows if segments else '?'} segments, "
    told += f"{'?' if watches is None else f'{watches:.0f}'} of {observers} watch"
    memory = ", ".join(f"{name} {look.megabytes:.0f}" for name, look in sample.processes.items())
    return f"{sample.minute:.1f} of {minutes:g} min: {told}; MB: {memory}"
