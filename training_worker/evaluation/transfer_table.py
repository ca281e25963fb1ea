"""The comparison of ways to a student, as tables for people."""

from collections.abc import Sequence

from training_worker.evaluation.fits import FAMILIES
from training_worker.evaluation.telling import markdown_table, percent
from training_worker.evaluation.transfer import METHODS, Transfer

_NOTE = """\
Error on the rest of each recording, which nothing was fitted on, as mean (deviation). `cross` is the unadapted teacher,
`self` an LSTM predictor from scratch, `exact` the exact student that keeps the teacher's body (of the better family on
left-out blocks), and `sgd` the same network with its dense layer fitted by Adam."""
_FAMILIES_NOTE = """\
The exact student of every family, dB. `linear` is one of its own, without a teacher. A training run publishes the one
with the lowest error on left-out blocks."""
_SECONDS_NOTE = """\
Seconds on this machine. `exact` is the solution with its cross-validation; `features` is the one pass through the body
that it shares with the calibration, and counts extra. `sgd` and `self` pass through the network in every epoch."""
_RATES_NOTE = """\
Realised false-alarm rate of the exact student's error on the rest, for thresholds that were to give 1 %. `fitted` is a
quantile of windows that were fitted. `missed` is the share of sudden anomalies that the default threshold misses and
one matched to 1 % on the rest detects; it is negative where the default is the lower of the two."""


def tables(found: Sequence[Transfer]) -> str:
    """Return Markdown: errors, times, and false alarms."""
    errors = _errors(found)
    parts = [_NOTE, errors, _FAMILIES_NOTE, _families(found), _SECONDS_NOTE, _times(found), _RATES_NOTE, _rates(found)]
    return "\n\n".join(parts)


def _errors(found: Sequence[Transfer]) -> str:
    heads = ["recording", *(f"{name} dB" for name in METHODS), "family", "exact / self", "exact / sgd"]
    rows = [
        [
            one.recording,
            *(f"{one.errors_db[name][0]:.3f} ({one.errors_db[name][1]:.3f})" for name in METHODS),
            str(one.further["family"]),
            *(f"{one.errors_db['exact'][0] / one.errors_db[name][0]:.3f}" for name in ("self", "sgd")),
        ]
        for one in found
    ]
    return markdown_table(heads, rows)


def _families(found: Sequence[Transfer]) -> str:
    names = [family for family in FAMILIES if family in found[0].errors_db]
    rows = [
        [one.recording, *(f"{one.errors_db[name][0]:.3f}" for name in names), str(one.further["lowest_family"])]
        for one in found
    ]
    return markdown_table(["recording", *names, "published"], rows)


def _times(found: Sequence[Transfer]) -> str:
    names = list(dict.fromkeys(name for one in found for name in one.seconds if name != "cross"))
    rows = [
        [
            one.recording,
            *(f"{one.seconds[name]:.3g}" if name in one.seconds else "" for name in names),
            f"{one.seconds['sgd'] / one.seconds['exact']:.0f}",
        ]
        for one in found
    ]
    return markdown_table(["recording", *(f"{name} s" for name in names), "sgd / exact"], rows)


def _rates(found: Sequence[Transfer]) -> str:
    costs = [(cost["kind"], cost["sir_db"]) for cost in found[0].further["detection_cost"] if cost["score"] == "error"]
    heads = ["recording", *found[0].false_alarms, "threshold dB", "needed s"]
    heads += [f"missed {kind} {sir_db:g} dB" for kind, sir_db in costs]
    rows = [
        [
            one.recording,
            *(percent(rate) for rate in one.false_alarms.values()),
            f"{one.further['threshold_db']:.2f}",
            f"{one.further['needed_seconds']:.2g}",
            *(percent(cost["missed"]) for cost in one.further["detection_cost"] if cost["score"] == "error"),
        ]
        for one in found
    ]
    return markdown_table(heads, rows)
