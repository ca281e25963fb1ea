"""The command line as a whole: options for every command, and the groups of commands."""

from pathlib import Path
from typing import Annotated

import typer

from infra.local.options import DEFAULT_PORT
from operator_console.cli import anomalies, bands, cells, models, observers, releases, runs, segments
from operator_console.cli.evaluate import evaluate
from operator_console.cli.session import GlobalOptions
from operator_console.cli.up import up
from operator_console.demo.command import demo

app = typer.Typer(
    name="bandwatch",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every_command(
    ctx: typer.Context,
    *,
    coordinator: Annotated[
        str, typer.Option(envvar="BANDWATCH_COORDINATOR", metavar="HOST:PORT", help="Coordinator to talk to.")
    ] = f"127.0.0.1:{DEFAULT_PORT}",
    token_file: Annotated[
        Path, typer.Option(envvar="BANDWATCH_OPERATOR_TOKEN_FILE", help="File that holds the operator's token.")
    ] = Path("bandwatch-data/keys/operator.token"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Learn what each LTE cell normally looks like, and notice when it does not.

    Start the platform on this machine, then, in another terminal, describe what is watched:

    bandwatch up
    bandwatch bands create b5 --center-mhz 881.5
    bandwatch cells create oak-street --band b5
    bandwatch observers create roof-1 --cell oak-street --mobility static --token-out roof-1.token

    The options below stand before the command, as in: bandwatch --json models list
    """
    ctx.obj = GlobalOptions(coordinator, token_file, as_json)


app.command()(up)
app.command()(demo)
app.command(
    add_help_option=False,  # its help is the worker's
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)(evaluate)
app.add_typer(bands.app, name="bands")
app.add_typer(cells.app, name="cells")
app.add_typer(observers.app, name="observers")
app.add_typer(segments.app, name="segments")
app.add_typer(models.app, name="models")
app.add_typer(releases.app, name="releases")
app.add_typer(runs.app, name="runs")
app.add_typer(anomalies.app, name="anomalies")
