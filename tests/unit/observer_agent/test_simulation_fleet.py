"""Who takes part in a simulation: names, places, identities, and the commands that register them."""

import math
import shlex
from pathlib import Path

import pytest

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.geography import Point, distance_m
from bandwatch.identity.identity_files import save_identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.lte.network.description import describe_network
from bandwatch.lte.network.network import read_network
from observer_agent.places.place_finder import Place, nearest_cell
from observer_agent.simulation import fleet as fleets
from observer_agent.simulation.fleet import make_fleet, to_point
from observer_agent.simulation.identities import obtain_identities, read_tokens
from observer_agent.simulation.registration import registration_commands
from tests.unit.observer_agent.simulated_town import TOWN, town
from tests.unit.trusted_server import KEYRING, member

EXAMPLE = Path(fleets.__file__).with_name("example.toml")


def folder_in(root: Path, name: str) -> Path:
    return root / name.partition("/")[2]


def test_a_network_is_repeated_with_other_names_and_places_until_there_are_enough_observers() -> None:
    fleet = make_fleet(town(), 7)
    assert [each.name for each in fleet] == [
        f"observers/{name}" for name in ("roof", "yard", "van", "roof-2", "yard-2", "van-2", "roof-3")
    ]
    assert len({each.entry.position_m for each in fleet}) == 7
    assert all(
        math.dist(copy.entry.position_m, original.entry.position_m) < 30
        for original, copy in zip(fleet, fleet[3:6], strict=False)
    )
    assert make_fleet(town(), 7) == fleet


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("yard", "roof-2", "two observers would be called observers/roof-2: rename one"),
        ("yard", "Yard No 1", "'Yard No 1' cannot name one of the observers"),
        ("elm-road", "elm road", "'elm road' cannot name one of the cells"),
    ],
)
def test_a_network_whose_names_no_registry_takes_is_refused(before: str, after: str, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        make_fleet(describe_network(TOWN.replace(f'"{before}"', f'"{after}"')), 5)


def test_a_network_without_observers_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="has no observers"):
        make_fleet(town().model_copy(update={"observers": ()}), 1)


def test_the_printed_commands_register_bands_cells_where_they_are_and_observers_with_a_token_each() -> None:
    fleet = make_fleet(town(), 4)
    commands = [shlex.split(line) for line in registration_commands(town(), fleet)]
    kinds = [" ".join(command[1:3]) for command in commands[1:]]
    assert kinds == ["bands create", *["cells create"] * 2, *["observers create"] * 4]
    places = {
        command[3]: Place(
            latitude_deg=float(command[6].partition("=")[2]),
            longitude_deg=float(command[7].partition("=")[2]),
            radius_m=float(command[9]),
        )
        for command in commands[2:4]
    }
    elm = Point(places["elm-road"].latitude_deg, places["elm-road"].longitude_deg)
    assert distance_m(to_point((600.0, 0.0)), elm) < 1
    for observer in fleet:
        for network_s in range(0, 120, 5):
            assert nearest_cell(places, observer.fix(float(network_s))) is not None
    assert [command[-1] for command in commands[4:]] == [f"tokens/{each.entry.id}.token" for each in fleet]


def test_the_example_is_a_network_of_two_cells_and_six_observers_that_can_all_be_registered() -> None:
    description = read_network(EXAMPLE).description
    fleet = make_fleet(description, 6)
    assert {each.entry.mobility for each in fleet} == {"static", "walking", "driving"}
    van = next(each for each in fleet if each.entry.mobility == "driving")
    assert {van.cell_at(float(network_s)) for network_s in range(60)} == {"oak", "elm"}
    assert len(registration_commands(description, fleet)) == 1 + 1 + 2 + 6


def test_tokens_are_read_from_a_file_or_from_all_files_of_a_folder(tmp_path: Path) -> None:
    first, second = (JoinToken.make(name, KEYRING.authorities) for name in ("observers/roof", ""))
    (tmp_path / "all").write_text(f"{first.to_text()}\n\n{second.to_text()}\n")
    assert read_tokens(tmp_path / "all") == [first, second]
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "a.token").write_text(first.to_text())
    (folder / "b.token").write_text(second.to_text())
    assert read_tokens(folder) == [first, second]
    (folder / "c.token").write_text("what is this")
    with pytest.raises(InvalidArgumentError, match=r"c\.token: this is no join token"):
        read_tokens(folder)
    with pytest.raises(NotFoundError, match="cannot be read"):
        read_tokens(tmp_path / "nowhere")


async def test_who_has_an_identity_needs_neither_a_token_nor_an_address(tmp_path: Path) -> None:
    made = member("observers/roof")
    save_identity(tmp_path / "roof", made)
    found = await obtain_identities(["observers/roof"], lambda name: folder_in(tmp_path, name), [], "", pytest.fail)
    assert found == {"observers/roof": made}


async def test_who_has_neither_is_named_with_what_to_do(tmp_path: Path) -> None:
    token = JoinToken.make("observers/yard", KEYRING.authorities)
    wanted = [f"observers/{name}" for name in ("roof", "yard", "van", "roof-2", "yard-2")]
    with pytest.raises(InvalidArgumentError, match=r"roof, observers/van, .*-2 and 1 more .*--registration"):
        await obtain_identities(wanted, lambda name: folder_in(tmp_path, name), [token], "127.0.0.1:1", pytest.fail)
    with pytest.raises(InvalidArgumentError, match="1 observers are to enrol: say where with --coordinator"):
        await obtain_identities(["observers/yard"], lambda name: folder_in(tmp_path, name), [token], "", pytest.fail)
