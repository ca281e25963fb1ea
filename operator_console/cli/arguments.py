"""Arguments and options that several commands share, with what they accept."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, Literal

import typer

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from bandwatch.names import Collection

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST_S: Final = 604800


def name_in(collection: Collection) -> Callable[[str], str]:
    """Return a parser that takes an identifier or a full name of that collection, and gives the full name."""

    def parse(text: str) -> str:
        try:
            return collection.name(text.removeprefix(f"{collection.word}/")) if text else ""
        except InvalidArgumentError as error:
            raise typer.BadParameter(error.message) from error

    return parse


def id_in(collection: Collection) -> Callable[[str], str]:
    """Return a parser that takes an identifier for that collection."""
    parse_name = name_in(collection)
    return lambda text: collection.id(parse_name(text))


def parse_span(text: str) -> timedelta:
    """Return a time span of at most a week that was written as 90s, 5m or 1.5h."""
    parts = _SPAN.fullmatch(text)
    if parts is None or (seconds := float(parts[1]) * _UNIT_S[parts[2]]) > _LONGEST_S:
        raise typer.BadParameter(f"{text!r} is no time span up to a week; write it as 90s, 5m or 1.5h")
    return timedelta(seconds=seconds)


Limit = Annotated[int, typer.Option(min=0, help="Show so many at most; 0 shows all.")]
DEFAULT_LIMIT: Final = 100

BandId = Annotated[str, typer.Argument(metavar="BAND", parser=id_in(names.bands), help="New identifier.")]
CellArgument = Annotated[
    str, typer.Argument(metavar="CELL", parser=name_in(names.cells), help="Identifier or full name.")
]
CellId = Annotated[str, typer.Argument(metavar="CELL", parser=id_in(names.cells), help="New identifier.")]
ObserverId = Annotated[str, typer.Argument(metavar="OBSERVER", parser=id_in(names.observers), help="New identifier.")]

ObserverName = Annotated[
    str, typer.Argument(metavar="OBSERVER", parser=name_in(names.observers), help="Identifier or full name.")
]
ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", parser=name_in(names.models), help="Identifier or full name.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", parser=name_in(names.runs), help="Identifier or full name.")]

BandName = Annotated[str, typer.Option("--band", parser=name_in(names.bands), metavar="BAND", help="Band it lies in.")]
BandFilter = Annotated[
    str, typer.Option("--band", parser=name_in(names.bands), metavar="BAND", help="Only those of this band.")
]
_CELL: Final = typer.Option("--cell", parser=name_in(names.cells), metavar="CELL", help="Cell.")
CellName = Annotated[str, _CELL]
OptionalCellName = Annotated[str | None, _CELL]
CellFilter = Annotated[
    str, typer.Option("--cell", parser=name_in(names.cells), metavar="CELL", help="Only those of this cell.")
]
ObserverFilter = Annotated[
    str,
    typer.Option(
        "--observer", parser=name_in(names.observers), metavar="OBSERVER", help="Only those of this observer."
    ),
]
_MOBILITY: Final = typer.Option(help="How the observer moves.")
MobilityWord = Annotated[Literal["static", "walking", "driving"], _MOBILITY]
OptionalMobilityWord = Annotated[Literal["static", "walking", "driving"] | None, _MOBILITY]
_TITLE: Final = typer.Option(help="A title for people.")
Title = Annotated[str, _TITLE]
OptionalTitle = Annotated[str | None, _TITLE]
TrainingTarget = Annotated[
    timedelta | None,
    typer.Option(parser=parse_span, metavar="SPAN", help="Frames to upload for training, such as 90s, 5m or 1h."),
]
UploadBudget = Annotated[
    int | None,
    typer.Option(
        min=0, max=1_000_000, metavar="MB", help="Megabytes of segments in a day; 0 leaves the agent's own limit."
    ),
]
