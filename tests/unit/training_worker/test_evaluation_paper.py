"""The whole evaluation of the paper, on a network of small cells."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.network.network import paper_network, parse_network
from training_worker.evaluation.paper import __main__
from training_worker.evaluation.paper.cells import FIGURE_8
from training_worker.evaluation.paper.experiments import EXPERIMENTS
from training_worker.evaluation.paper.places import places_of
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.scale import SMALL
from training_worker.evaluation.paper.whole import evaluate_paper

TINY = dataclasses.replace(
    SMALL,
    name="tiny",
    day_s=7.2,
    place_s=4.8,
    stretch_s=0.3,
    interval_stretches=3,
    interval_stretch_s=0.25,
    test_s=0.4,
    test_stretch_s=0.2,
    test_hours=(2, 14),
    passes=300,
    refit_passes=200,
    judged_s=0.05,
    judged_hours=(4,),
    clean_s=7.2,
    ratios_db=(0.0,),
    grown=("half a second",),
)
BANDS = {"880": "880e6", "750": "750e6", "830": "830e6"}
CELLS = {"880-a": (0, 0), "880-b": (1600, 200), "750-a": (0, 0), "830-a": (0, 0)}
OBSERVERS = {"roof": (-180, 310, "static"), "street": (-330, -90, "static"), "walking": (120, 330, "walking")}


def network_text() -> str:
    """Return a network of four cells of six resource blocks."""
    tables = ["seed = 7"]
    for band, center_hz in BANDS.items():
        direction = "uplink" if band == "830" else "downlink"
        tables.append(f'[[bands]]\nid = "{band}"\ncenter_hz = {center_hz}\nwidth_hz = 1.4e6\ndirection = "{direction}"')
    for number, (cell, (east, north)) in enumerate(CELLS.items()):
        place = f"position_m = [{east}.0, {north}.0]"
        tables.append(
            f'[[cells]]\nid = "{cell}"\nband = "{cell[:3]}"\nidentity = {number}\nresource_blocks = 6\n{place}'
        )
        for context, (right, up, mobility) in OBSERVERS.items():
            where = f"position_m = [{(east + right) / 2}, {(north + up) / 2}]"
            tables.append(f'[[observers]]\nid = "{cell}-{context}"\ncell = "{cell}"\nmobility = "{mobility}"\n{where}')
    return "\n".join(tables)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.toml"
    path.write_text(network_text())
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Path:
    """Give the results of a whole run."""
    folder = tmp_path_factory.mktemp("results")
    evaluate_paper(TINY, folder, (), 2, 3, network_file, lambda _: None)
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


@pytest.mark.slow
def test_every_table_and_figure_is_in_all_three_forms(out: Path, results: dict[str, Any]) -> None:
    names = [*(f"Table {number}" for number in (1, 2, 3)), *(f"Figure {n}" for n in (4, 5, 8, 9, 10, 11, 12, 13))]
    text, page = (out / "results.md").read_text(), (out / "results.html").read_text()
    assert {section["name"] for section in results["sections"]} == {*names, "Beyond the paper"}
    for section in results["sections"]:
        assert f"## {section['name']}: " in text
        assert f">{section['name']}: " in page
        for figure in section["figures"]:
            assert (out / "figures" / f"{figure['name']}.svg").read_text().startswith("<svg")
    assert page.count("<svg") == sum(len(section["figures"]) for section in results["sections"])


@pytest.mark.slow
def test_every_claim_is_judged_by_its_numbers(results: dict[str, Any]) -> None:
    assert len(results["claims"]) >= 12
    for claim in results["claims"]:
        holding = [check["holds"] for check in claim["checks"]]
        expected = "holds" if all(holding) else "holds partly" if any(holding) else "does not hold"
        assert claim["verdict"] == expected
        for check in claim["checks"]:
            margin = _margin(claim["claim"], check["found"])
            assert check["holds"] is (margin > 0) or abs(margin) < 0.1, (claim["claim"], check)


def _margin(claim: str, found: str) -> float:
    """Judge a comparison again by the rounded numbers in its words: above 0 where the claim holds."""
    first, second, *change = (float(number) for number in re.findall(r"[-+]?\d+\.?\d*", found))
    if "more than 3 %" in claim:
        return change[0] - 3
    if "within 10 %" in claim:
        return 10 - abs(change[0])
    if "within 3 %" in claim:
        return 3 - change[0]
    return first - second if "at least" in claim else 100 * (second - first)


@pytest.mark.slow
def test_a_second_run_computes_nothing_and_writes_the_same(out: Path, network_file: Path) -> None:
    before = {path.name: path.read_bytes() for path in out.glob("results.*")}
    assert evaluate_paper(TINY, out, (), 1, 3, network_file, lambda _: None) == 0
    assert {path.name: path.read_bytes() for path in out.glob("results.*")} == before


@pytest.mark.slow
def test_some_figures_can_be_made_alone(out: Path, tmp_path: Path, network_file: Path) -> None:
    shutil.copytree(out / "cache", tmp_path / "cache")
    evaluate_paper(TINY, tmp_path, ["figure-4"], 1, 3, network_file, lambda _: None)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [section["name"] for section in found["sections"]] == ["Figure 4"]
    assert found["claims"] == []


def test_a_figure_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, network_file: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="no table or figure 'figure-7': choose from table-1, table-2"):
        evaluate_paper(TINY, tmp_path, ["figure-7"], 1, 0, network_file, lambda _: None)


def test_the_command_says_which_figures_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["paper", "--only", "figure-7", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    assert "there is no table or figure 'figure-7'" in capsys.readouterr().err


def test_cells_play_the_parts_that_their_bands_give_them() -> None:
    places = places_of(parse_network(network_text()))
    assert places.home.id == "880-a"
    assert [cell.id for cell in (*places.neighbours, *places.abroad, *places.uplinks)] == ["880-b", "750-a", "830-a"]
    assert [one.context for one in places.home.moving] == ["walking"]
    assert [one.id for one in places.home.staying] == ["880-a-roof", "880-a-street"]


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ("880-b", "two downlink bands, one of them with two cells"),
        ("750-a", "two downlink bands"),
        ("830-a", "and an uplink band"),
        ("walking", "observers that stay and observers that move"),
    ],
)
def test_a_network_that_lacks_a_part_is_refused(lacking: str, sentence: str) -> None:
    kept = [table for table in network_text().split("[[") if f'"{lacking}' not in table and f'{lacking}"' not in table]
    with pytest.raises(InvalidArgumentError, match=sentence):
        places_of(parse_network("[[".join(kept)))


def test_a_cell_with_two_neighbours_has_a_teacher_that_heard_both() -> None:
    plan = Plan(SMALL, places_of(paper_network()), 0)
    teachers = {needed.label for job in FIGURE_8.jobs(plan) for model in job.needs for needed in model.needs}
    assert teachers == {
        "solving the LSTM of 880-a with a linear skip",
        "training the LSTM of 880-a",
        "training the LSTM of 880-a and 880-b",
        "training the LSTM of 880-a and 880-c",
    }


def test_the_names_of_experiments_differ() -> None:
    assert len({experiment.name for experiment in EXPERIMENTS}) == len(EXPERIMENTS)


def test_a_scale_tells_what_stands_for_what() -> None:
    told = " ".join(TINY.reductions)
    assert "A day is 7.2 s" in told
    assert "Five minutes are 3 stretches of 0.25 s" in told
