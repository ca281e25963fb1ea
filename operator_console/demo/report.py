"""The report of a demo: one HTML page that needs nothing else."""

from html import escape
from pathlib import Path

from operator_console.demo.figures import CellFigures, Share
from operator_console.demo.plan import BURST_S, SILENCE_RATIO_DB
from operator_console.demo.stages import DemoResult
from operator_console.demo.waterfalls import Box, Waterfall, waterfall

SHOWN_KINDS = ("ofdm-2mhz", "qpsk-200khz", "down-66")
"""Kinds of anomalies with a waterfall for every cell: a wide one, a narrow one and one that takes away."""

_STYLE = """
:root { --ink: #1c2330; --soft: #5d6879; --line: #dde2ea; --paper: #fff; --wash: #f5f7fa;
  --good: #0c7a4d; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf2; --soft: #9aa6b8; --line: #2e3746; --paper: #12161d;
  --wash: #1a202a; --good: #57c99a; --bad: #ff8a80 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1280px;
  margin: 0 auto; padding: 24px 20px 64px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 40px 0 8px }
h3 { font-size: 16px; margin: 24px 0 4px }
p, li { color: var(--soft); max-width: 76ch } b { color: var(--ink) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: 6px 9px; font-size: 14px; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap }
th { color: var(--soft); font-weight: 500 } th:first-child, td:first-child { text-align: left }
.good { color: var(--good) } .bad { color: var(--bad) }
figure { margin: 8px 0 20px; background: var(--wash); border-radius: 8px; padding: 12px }
.strip { position: relative; margin-bottom: 6px }
.strip img { display: block; width: 100%; height: 128px; image-rendering: pixelated; border-radius: 3px }
.strip span { position: absolute; left: 6px; top: 4px; font-size: 12px; color: #fff;
  text-shadow: 0 0 3px #000, 0 0 3px #000 }
.strip i { position: absolute; top: 0; bottom: 0; border: 1.5px solid #ff4d4d }
.strip u { position: absolute; top: 0; bottom: 0; border-left: 2px dashed #fff; border-right: 2px dashed #fff }
figcaption { font-size: 13px; color: var(--soft) }
"""


def write_report(result: DemoResult, path: Path) -> None:
    """Write the report of a demo."""
    body = "".join([_head(result), _errors(result), _detection(result), _waterfalls(result), _stages(result)])
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Bandwatch: {escape(result.plan.title)}</title><style>{_STYLE}</style>{body}</html>\n",
        encoding="utf-8",
    )


def _head(result: DemoResult) -> str:
    plan = result.plan
    unreleased = [f"{figures.cell}: {figures.remark}." for figures in result.figures if figures.remark]
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in (*plan.remarks, *unreleased))
    return (
        f"<h1>{escape(plan.title)}</h1>"
        f"<p>{len(plan.observers)} observers in {len(plan.cells)} cells on {len(plan.bands)} bands uploaded radio, "
        f"{_counted(sum(band.teaches for band in plan.bands), 'teacher')} trained, {len(result.figures)} cells got a "
        f"student each, and every observer of those cells judged what it heard while anomalies were mixed into it. "
        f"{result.total_s:.0f} s from start to end.</p><ul>{remarks}</ul>"
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing} was" if count == 1 else f"{count} {thing}s were"


def _row(cells: list[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _errors(result: DemoResult) -> str:
    heading = [
        "Cell",
        "Observers",
        "Learnt from",
        "Unadapted teacher",
        "Student",
        "Gained",
        "Order to active",
        "Threshold",
        "False alarms",
    ]
    return (
        "<h2>Every cell gets its own student</h2><p>Error is the RMSE in dB between predicted and measured spectra, "
        "over later radio in which nothing was mixed, with the same windows for teacher and student. Thresholds are "
        "set for 1 % false alarms, each for the score that its model judges windows by. <b>Order to active</b> is the "
        "time from ordering the student until the last observer of the cell ran it. A student that does not beat its "
        "teacher is not released by itself: its cell goes on with what it has. <b>False alarms</b> are counted among "
        "windows that saw nothing of an anomaly, and neither did those that their score looks back on.</p><table>"
        + _row(heading, "th")
        + "".join(_error_row(figures) for figures in result.figures)
        + "</table>"
    )


def _error_row(figures: CellFigures) -> str:
    tone = "good" if figures.gained_db > 0 else "bad"
    return _row(
        [
            escape(figures.cell),
            str(figures.observers),
            f"{figures.training_s:.1f} s",
            f"{figures.teacher_error_db:.3f} dB",
            f"<b>{figures.student_error_db:.3f} dB</b>",
            f'<span class="{tone}">{figures.gained_db:+.3f} dB</span>',
            f"{figures.order_to_active_s:.1f} s",
            f"{figures.threshold:.2f} ({escape(figures.score)})",
            percent(figures.false_alarms),
        ]
    )


def percent(share: Share) -> str:
    """Return a share as a person reads it, with the number of windows behind it."""
    return f"{share.rate:.1%} of {share.windows}" if share.windows else "no windows"


def _detection(result: DemoResult) -> str:
    kinds = result.plan.kinds
    ratio_db = max(burst.ratio_db for burst in result.plan.timetable)
    rows = "".join(_row([escape(f.cell), *(f"{f.detection[kind].rate:.0%}" for kind in kinds)]) for f in result.figures)
    return (
        "<h2>What was caught</h2><p>Share of windows flagged among those whose predicted frames all lie inside a burst "
        f"of {BURST_S * 1e3:.0f} ms. Foreign transmitters have {ratio_db:+.0f} dB of the cell's power; "
        f"frequencies that go down leave a floor {-SILENCE_RATIO_DB:.0f} dB below it. Windows are flagged by the score "
        "that each model has chosen, at the threshold above.</p>"
        "<table>" + _row(["Cell", *kinds], "th") + rows + "</table>"
    )


def _waterfalls(result: DemoResult) -> str:
    parts = [
        (
            "<h2>Measured, predicted, error</h2><p>Time runs to the right, frequency upwards. Dashed lines bound what "
            "was mixed in; red boxes are windows that the observer flagged by itself.</p>"
        )
    ]
    for cell in (cell for cell in result.plan.cells if cell.student):
        observer = result.plan.observers_of(cell)[0]
        parts.append(f"<h3>{escape(cell.title)}, heard by {escape(observer.id)} ({observer.mobility})</h3>")
        for kind in SHOWN_KINDS:
            picture = waterfall(result.inspected[observer.id], result.plan.bursts_of(kind))
            if picture:
                parts.append(_figure(kind, picture))
    return "".join(parts)


def _figure(kind: str, picture: Waterfall) -> str:
    flagged = "".join(_placed("i", box) for box in picture.flagged)
    truth = "".join(_placed("u", box) for box in picture.bursts)
    strips = "".join(
        f'<div class="strip"><img alt="{label} levels" src="{source}">{truth}{marks}<span>{label}</span></div>'
        for label, source, marks in (
            ("measured", picture.measured, flagged),
            ("predicted", picture.predicted, ""),
            ("error", picture.error, flagged),
        )
    )
    return (
        f"<figure>{strips}<figcaption>{escape(kind)}: {picture.length_s * 1e3:.0f} ms from {picture.start_s:.2f} s; "
        f"{len(picture.flagged)} windows flagged</figcaption></figure>"
    )


def _placed(tag: str, box: Box) -> str:
    return f'<{tag} style="left:{box.left:.3%};width:{box.width:.3%}"></{tag}>'


def _stages(result: DemoResult) -> str:
    rows = "".join(_row([escape(title), f"{seconds:.1f} s"]) for title, seconds in result.stage_seconds.items())
    return "<h2>How long it took</h2><table>" + _row(["Stage", "Time"], "th") + rows + "</table>"
