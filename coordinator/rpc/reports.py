"""Batches of what an observer reports: each is answered alone, so that a bad one does not hold back the rest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.v1.incident_pb2 import Event
from bandwatch.wire.v1.spectrum_pb2 import Anomaly
from bandwatch.wire.v1.statistics_pb2 import ReportOutcome, Statistics
from coordinator.rpc.validation import first_problem
from coordinator.services.refusals import Refused

ReportT = TypeVar("ReportT", Anomaly, Event, Statistics)


async def recorded(
    reports: Sequence[ReportT], record: Callable[[list[ReportT]], Awaitable[Sequence[Refused | None]]]
) -> list[ReportOutcome]:
    """Record the reports that keep the contract, all in one go, and return what became of each, in order."""
    problems = [first_problem(report) for report in reports]
    answers = iter(await record([r for r, problem in zip(reports, problems, strict=True) if problem is None]))
    refusals = [
        next(answers) if problem is None else Refused(InvalidArgumentError.code, problem) for problem in problems
    ]
    return [_outcome(report, refusal) for report, refusal in zip(reports, refusals, strict=True)]


def _outcome(report: ReportT, refusal: Refused | None) -> ReportOutcome:
    if refusal is None:
        return ReportOutcome(origin=report.origin, accepted=True)
    return ReportOutcome(origin=report.origin, code=refusal.code, reason=refusal.reason)
