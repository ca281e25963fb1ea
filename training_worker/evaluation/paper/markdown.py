"""The report as Markdown; drawings are files beside it."""

from training_worker.evaluation.paper.report import MAPPING, SOURCE, TITLE, Report
from training_worker.evaluation.paper.sections import Figure, Section
from training_worker.evaluation.telling import markdown_table

FIGURES_FOLDER = "figures"
"""Where drawings are, relative to the text."""


def markdown_of(report: Report) -> str:
    """Return the report as Markdown."""
    summary = markdown_table(
        ("claim", "where", "verdict", "comparisons"),
        [(claim.sentence, section.name, claim.verdict, claim.score) for section, claim in report.claims],
    )
    parts = [
        f"# {TITLE}",
        (
            f"The tables and figures of *{SOURCE}*, computed anew on a simulated network: scale {report.scale}, seed "
            f"{report.seed}."
        ),
        *(["## Claims", summary] if report.claims else []),
        "## What stands for what",
        "\n".join(f"- {remark}" for remark in (*report.remarks, MAPPING)),
        *(part for section in report.sections for part in _section(section)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {section.name}: {section.title}", f"The paper: {section.stated}"]
    for table in section.tables:
        parts += [f"**{table.title}**", markdown_table(table.head, [[str(v) for v in row] for row in table.rows])]
    parts += [_figure(figure) for figure in section.figures]
    parts.append(f"Seen: {section.seen}")
    if section.claims:
        parts.append("\n".join(f"- {claim.sentence} **{claim.verdict}.** {claim.told}" for claim in section.claims))
    return parts


def _figure(figure: Figure) -> str:
    return f"![{figure.caption}]({FIGURES_FOLDER}/{figure.name}.svg)\n\n*{figure.caption}*"
