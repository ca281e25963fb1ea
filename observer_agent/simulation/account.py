"""The account of a simulation: what the coordinator should know of every observer, for programs and for people."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, Field

from bandwatch.errors import FailedPreconditionError
from observer_agent.simulation.radio import Looks
from observer_agent.simulation.witness import Fate, Witness
from observer_agent.spool.records import Origin

_SHOWN: Final = 20

Seconds = Annotated[float, Field(ge=0)]


class Numbers(BaseModel):
    """Segments whose sequences follow one another, both ends included."""

    boot_id: str
    first: int
    last: int


class SegmentsAccount(BaseModel):
    """Segments made since the start or held before it; `given_up` were evicted or damaged, `held` wait in the spool.

    made + held_before = acknowledged + refused + given_up + held.
    """

    made: int
    held_before: int
    acknowledged: int
    refused: int
    given_up: int
    held: int
    acknowledged_by_cell: dict[str, int]
    numbers: dict[Fate, list[Numbers]]
    refusals: list[str]


class CellSpan(BaseModel):
    """A cell that the coordinator was told that the observer is in, empty for none, and since when."""

    cell: str
    since_at: AwareDatetime


class ModelSpan(BaseModel):
    """A release that the coordinator was told that the observer runs, where and since when; serial zero is none."""

    serial: int
    model: str
    cell: str
    since_at: AwareDatetime


class EventAccount(BaseModel):
    """An event that the coordinator took reports of."""

    event_id: str
    over: bool


class CutSpan(BaseModel):
    """When the link was cut."""

    from_at: AwareDatetime
    until_at: AwareDatetime | None


class RadioAccount(BaseModel):
    """Looks at the radio: heard, left out because the machine was too slow, and how late the latest was."""

    looks: int
    left_out: int
    latest_s: Seconds


class ObserverAccount(BaseModel):
    """What the coordinator should know of one observer; a `fault` is why its agent ended early."""

    observer: str
    mobility: str
    cells: list[CellSpan]
    segments: SegmentsAccount
    sent_bytes: int
    models: list[ModelSpan]
    events: list[EventAccount]
    longest_pause_s: Seconds
    longest_outage_s: Seconds
    cuts: list[CutSpan]
    radio: RadioAccount
    fault: str = ""


class FleetTotals(BaseModel):
    """Sums over all observers, the longest pauses of any, and what this process used."""

    observers: int
    made: int
    held_before: int
    acknowledged: int
    refused: int
    given_up: int
    held: int
    sent_bytes: int
    events: int
    cuts: int
    looks: int
    looks_left_out: int
    longest_pause_s: Seconds
    longest_outage_s: Seconds
    cpu_s: Seconds
    peak_memory_mb: float


class FleetAccount(BaseModel):
    """The whole account."""

    began_at: AwareDatetime
    ended_at: AwareDatetime
    network: str
    listen_s: float
    period_s: float
    totals: FleetTotals
    observers: list[ObserverAccount]


def account_of(
    observer: str,
    mobility: str,
    witness: Witness,
    looks: Looks,
    cuts: Sequence[tuple[AwareDatetime, AwareDatetime | None]],
    fault: str,
) -> ObserverAccount:
    """Return the account of one observer, whose witness is closed."""
    return ObserverAccount(
        observer=observer,
        mobility=mobility,
        cells=[CellSpan(cell=cell, since_at=since_at) for cell, since_at in witness.cells],
        segments=_segments(witness),
        sent_bytes=witness.sent_bytes,
        models=[ModelSpan(serial=m.serial, model=m.model, cell=m.cell, since_at=m.since_at) for m in witness.models],
        events=[EventAccount(event_id=event_id, over=over) for event_id, over in witness.events.items()],
        longest_pause_s=witness.contact.longest_pause_s,
        longest_outage_s=witness.contact.longest_outage_s,
        cuts=[CutSpan(from_at=from_at, until_at=until_at) for from_at, until_at in cuts],
        radio=RadioAccount(looks=looks.heard, left_out=looks.left_out, latest_s=looks.latest_s),
        fault=fault,
    )


def _segments(witness: Witness) -> SegmentsAccount:
    of_fate = {fate: [origin for origin, its in witness.fates.items() if its is fate] for fate in Fate}
    return SegmentsAccount(
        made=len(witness.made),
        held_before=len(witness.fates.keys() - witness.made),
        **{fate.value: len(origins) for fate, origins in of_fate.items()},
        acknowledged_by_cell=Counter(witness.cell_of[origin] for origin in of_fate[Fate.ACKNOWLEDGED]),
        numbers={fate: in_ranges(origins) for fate, origins in of_fate.items()},
        refusals=[f"{origin.boot_id}.{origin.sequence} {why}" for origin, why in witness.reasons.items()],
    )


def in_ranges(origins: Iterable[Origin]) -> list[Numbers]:
    """Return origins as ranges of numbers."""
    ordered = sorted((origin.boot_id, origin.sequence) for origin in origins)
    ranges = []
    for (boot_id, _), run in groupby(enumerate(ordered), key=lambda item: (item[1][0], item[1][1] - item[0])):
        sequences = [sequence for _, (_, sequence) in run]
        ranges.append(Numbers(boot_id=boot_id, first=sequences[0], last=sequences[-1]))
    return ranges


def totals_of(observers: Sequence[ObserverAccount], *, cpu_s: float, peak_memory_mb: float) -> FleetTotals:
    """Return the sums over observers."""
    segments = [observer.segments for observer in observers]
    return FleetTotals(
        observers=len(observers),
        made=sum(each.made for each in segments),
        held_before=sum(each.held_before for each in segments),
        acknowledged=sum(each.acknowledged for each in segments),
        refused=sum(each.refused for each in segments),
        given_up=sum(each.given_up for each in segments),
        held=sum(each.held for each in segments),
        sent_bytes=sum(observer.sent_bytes for observer in observers),
        events=sum(len(observer.events) for observer in observers),
        cuts=sum(len(observer.cuts) for observer in observers),
        looks=sum(observer.radio.looks for observer in observers),
        looks_left_out=sum(observer.radio.left_out for observer in observers),
        longest_pause_s=max(observer.longest_pause_s for observer in observers),
        longest_outage_s=max(observer.longest_outage_s for observer in observers),
        cpu_s=cpu_s,
        peak_memory_mb=peak_memory_mb,
    )


def write_account(path: Path, account: FleetAccount) -> None:
    """Write the account as JSON.

    Raises:
        FailedPreconditionError: It cannot be written there.
    """
    try:
        path.write_text(account.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise FailedPreconditionError(f"the account cannot be written to {path}: {error.strerror}") from error


def table_of(account: FleetAccount) -> str:
    """Return the account as lines for people: at most 20 observers, those with most unanswered first, and the sums."""
    worst = sorted(account.observers, key=lambda observer: -_unanswered(observer))
    name_width = max(len("observer"), *(len(observer.observer) for observer in worst[:_SHOWN]))
    heads = ("made", "stored", "refused", "given up", "held", "MB", "serial", "events", "cuts", "outage s")
    lines = [f"{'observer':{name_width}} " + " ".join(f"{head:>8}" for head in heads)]
    lines += [f"{each.observer:{name_width}} " + _row(each) for each in worst[:_SHOWN]]
    if len(worst) > _SHOWN:
        lines.append(f"... and {len(worst) - _SHOWN} more in the file")
    t = account.totals
    segments = (
        f"{t.observers} observers: {t.made} segments made, {t.held_before} held before, {t.acknowledged} acknowledged, "
        f"{t.refused} refused, {t.given_up} given up, {t.held} held; {t.sent_bytes / 1e6:.1f} MB; {t.events} events"
    )
    times = (
        f"longest pause {t.longest_pause_s:.1f} s, longest outage {t.longest_outage_s:.1f} s, {t.cuts} cuts; "
        f"{t.looks} looks at the radio, {t.looks_left_out} left out; {t.cpu_s:.1f} s of CPU, {t.peak_memory_mb:.0f} MB"
    )
    lines += [segments, times]
    lines += [f"{each.observer} ended early: {each.fault}" for each in account.observers if each.fault]
    return "\n".join(lines)


def _unanswered(observer: ObserverAccount) -> int:
    return observer.segments.refused + observer.segments.given_up + observer.segments.held


def _row(each: ObserverAccount) -> str:
    s, serial = each.segments, each.models[-1].serial if each.models else 0
    counts = (s.made, s.acknowledged, s.refused, s.given_up, s.held)
    cells = [*counts, f"{each.sent_bytes / 1e6:.1f}", serial, len(each.events), len(each.cuts)]
    return " ".join(f"{cell:>8}" for cell in [*cells, f"{each.longest_outage_s:.1f}"])
