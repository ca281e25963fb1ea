"""The report in its three forms."""

import json
import re

import numpy as np
import pytest

from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.claims import Check, Claim
from training_worker.evaluation.paper.markdown import markdown_of
from training_worker.evaluation.paper.page import page_of
from training_worker.evaluation.paper.report import Report
from training_worker.evaluation.paper.sections import NOT_STATED, Area, Decibels, Figure, Section, Share, Table


@pytest.fixture(scope="module")
def report() -> Report:
    drawing = plots.lines([plots.Line("one <way>", [1, 10], [3.0, 2.5])], "seconds", "error in dB", log_x=True)
    claims = (
        Claim("Less is less & more is more.", (Check("here", holds=True, found="1 against 2"),)),
        Claim("More is less.", (Check("here", holds=False, found="2 against 1"),)),
    )
    sections = tuple(
        Section(
            name=name,
            title="Errors",
            stated="2.58 dB.",
            tables=(
                Table("Errors in dB", ("at", "ours", "paper"), (("a<b", Decibels(2.5, 0.2), Decibels(2.58)),)),
                Table("Shares", ("at", "ours", "area"), (("here", Share(0.58), Area(0.9)), ("there", NOT_STATED, ""))),
            ),
            figures=(Figure(f"figure-{name[-1]}", "Lines.", drawing, {"one": [3.0, 2.5]}),),
            seen="Ours is lower.",
            claims=claims,
        )
        for name in ("Table 1", "Table 2")
    )
    return Report("small", 0, ("A day is a minute.",), sections)


def test_values_are_shown_as_the_paper_shows_them() -> None:
    assert [str(Decibels(2.584, 0.194)), str(Decibels(3))] == ["2.58 (0.19)", "3.00"]
    assert [str(Share(share)) for share in (0, 0.0042, 0.0999, 0.1, 1)] == ["0 %", "0.4 %", "10.0 %", "10 %", "100 %"]
    assert str(Area(0.98765)) == "0.988"


def test_the_page_shows_every_claim_with_its_verdict_on_top(report: Report) -> None:
    page = page_of(report)
    summary = page[: page.index("What stands for what")]
    assert summary.count("<b class=") == 4
    assert '<b class="good">holds</b>' in summary
    assert '<b class="bad">does not hold</b>' in summary
    assert 'href="#table-2"' in summary
    assert page.count('<h2 id="table-2">') == 1


def test_the_page_needs_nothing_else_and_takes_texts_literally(report: Report) -> None:
    page = page_of(report)
    assert "a&lt;b" in page
    assert "Less is less &amp; more is more." in page
    assert not re.search(r'(src|href)="(?!#|data:)', page.replace('xlink:href="#', ""))
    assert plots.INK not in page


def test_two_drawings_on_a_page_share_no_name(report: Report) -> None:
    named = re.findall(r"<svg.*?</svg>", page_of(report), re.DOTALL)
    first, second = (set(re.findall(r'\bid="([^"]+)"', drawing)) for drawing in named)
    assert first
    assert not first & second
    for drawing, names in zip(named, (first, second), strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', drawing)) <= names


def test_the_text_holds_every_table_and_points_to_every_drawing(report: Report) -> None:
    text = markdown_of(report)
    assert "| a<b | 2.50 (0.20) | 2.58 |" in text
    assert "| there | not stated |  |" in text
    assert "figures/figure-2.svg" in text
    assert text.count("**does not hold.**") == 2


def test_the_plain_form_can_be_read_back(report: Report) -> None:
    plain = json.loads(json.dumps(report.plain()))
    assert [one["verdict"] for one in plain["claims"]] == ["holds", "does not hold"] * 2
    assert plain["sections"][0]["tables"][0]["rows"][0][1] == {"mean": 2.5, "deviation": 0.2}
    assert plain["sections"][1]["figures"][0]["numbers"] == {"one": [3.0, 2.5]}


def test_waterfalls_name_their_columns_once_and_every_row() -> None:
    frames = np.zeros((30, 128), np.float32)
    row = {"measured": frames, "residual": frames}
    drawn = plots.waterfalls({"indoor": row, "driving": row}, 0.256)
    assert [drawn.count(f">{word}<") for word in ("measured", "residual", "indoor", "driving")] == [1, 1, 1, 1]


def test_the_same_numbers_make_the_same_drawing() -> None:
    series = [plots.Line("a", [0, 1], [0, 1])]
    assert plots.line_panels({"p": series}, "x", "y", 1) == plots.line_panels({"p": series}, "x", "y", 1)
