"""The report as one HTML page that needs nothing else."""

from html import escape
from typing import Final

from training_worker.evaluation.paper.claims import Claim, Verdict
from training_worker.evaluation.paper.plots import INK
from training_worker.evaluation.paper.report import MAPPING, SOURCE, TITLE, Report
from training_worker.evaluation.paper.sections import Figure, Section, Table

_MARKS: Final = {Verdict.HOLDS: "good", Verdict.PARTLY: "fair", Verdict.NOT: "bad"}
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d6879; --line: #dde2ea; --paper: #fff; --wash: #f5f7fa;
  --good: #0c7a4d; --fair: #8a5a00; --bad: #b3261e; --link: #1f5fae }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf2; --soft: #9aa6b8; --line: #2e3746; --paper: #12161d;
  --wash: #1a202a; --good: #57c99a; --fair: #e2b354; --bad: #ff8a80; --link: #8ab8f0 } }
* { box-sizing: border-box }
body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1080px;
  margin: 0 auto; padding: 24px 20px 64px }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 8px } h2 { font-size: 19px; margin: 48px 0 6px }
p, li { max-width: 78ch } .soft, li { color: var(--soft) } a { color: var(--link) }
.table { overflow-x: auto; margin: 10px 0 18px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); font-size: 13px; padding: 4px 0; max-width: 78ch }
th, td { padding: 5px 10px; font-size: 14px; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top }
th { color: var(--soft); font-weight: 500 } th:first-child, td:first-child { text-align: left }
.claims td { text-align: left } .good { color: var(--good) } .fair { color: var(--fair) } .bad { color: var(--bad) }
b.good, b.fair, b.bad { white-space: nowrap }
figure { margin: 12px 0 20px; background: var(--wash); border-radius: 8px; padding: 14px; color: var(--soft) }
figure svg { display: block; width: 100%; height: auto; max-width: 860px; margin: 0 auto }
figcaption { font-size: 13px; margin-top: 6px }
"""


def page_of(report: Report) -> str:
    """Return the report as an HTML document."""
    body = "".join([_head(report), *(_section(section) for section in report.sections)])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(TITLE)}</title><style>{_STYLE}</style><body>{body}</body></html>\n"
    )


def _head(report: Report) -> str:
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in (*report.remarks, MAPPING))
    return (
        f"<h1>{escape(TITLE)}</h1><p>The tables and figures of <i>{escape(SOURCE)}</i>, computed anew on a simulated "
        f"network: scale {escape(report.scale)}, seed {report.seed}.</p>"
        f"{_summary(report)}<h2>What stands for what</h2><ul>{remarks}</ul>"
    )


def _summary(report: Report) -> str:
    if not report.claims:
        return ""
    rows = "".join(
        f'<tr><td>{escape(claim.sentence)}</td><td><a href="#{_anchor(section)}">{escape(section.name)}</a></td>'
        f"<td>{_verdict(claim)}</td><td>{claim.score}</td></tr>"
        for section, claim in report.claims
    )
    head = "<tr><th>claim</th><th>where</th><th>verdict</th><th>comparisons</th></tr>"
    return f'<div class="table"><table class="claims">{head}{rows}</table></div>'


def _section(section: Section) -> str:
    claims = "".join(
        f"<li>{escape(claim.sentence)} {_verdict(claim)}. {escape(claim.told)}</li>" for claim in section.claims
    )
    return (
        f'<h2 id="{_anchor(section)}">{escape(section.name)}: {escape(section.title)}</h2>'
        f'<p class="soft">The paper: {escape(section.stated)}</p>'
        + "".join(map(_table, section.tables))
        + "".join(map(_figure, section.figures))
        + f"<p>{escape(section.seen)}</p>"
        + (f"<ul>{claims}</ul>" if claims else "")
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in table.rows)
    return f'<div class="table"><table><caption>{escape(table.title)}</caption><tr>{head}</tr>{rows}</table></div>'


def _figure(figure: Figure) -> str:
    """Return a drawing in the page's own ink, with names that no other drawing on the page has."""
    svg = figure.svg.replace(INK, "currentColor")
    for mark in ('id="', "url(#", 'href="#'):
        svg = svg.replace(mark, f"{mark}{figure.name}-")
    return f"<figure>{svg}<figcaption>{escape(figure.caption)}</figcaption></figure>"


def _verdict(claim: Claim) -> str:
    return f'<b class="{_MARKS[claim.verdict]}">{claim.verdict}</b>'


def _anchor(section: Section) -> str:
    return section.name.lower().replace(" ", "-")
