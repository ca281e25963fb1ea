"""The command line as a whole: options for every command, and the groups of commands."""

from pathlib import Path
from typing import Annotated

import typer

from bandwatch.identity.keyring import AUTHORITIES_FILE
from infra.local.options import DEFAULT_PORT
from operator_console.cli import (
    anomalies,
    bands,
    cells,
    fleet,
    identities,
    incidents,
    join_tokens,
    models,
    observers,
    operators,
    policies,
    releases,
    runs,
    segments,
)
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
    authorities: Annotated[
        Path | None,
        typer.Option(
            envvar="BANDWATCH_AUTHORITIES_FILE",
            help="File of the authorities by which the coordinator is known; authorities.pem beside the token when "
            "absent.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Learn what each LTE cell normally looks like, and notice when it does not.

    Start the platform on this machine, then, in another terminal, describe what is watched:

    bandwatch up
    bandwatch bands create b5 --center-mhz 881.5
    bandwatch cells create oak-street --band b5
    bandwatch observers create roof-1 --cell oak-street --mobility static --trusted --token-out roof-1.token
    bandwatch-agent enroll --coordinator 127.0.0.1:50051 --token-file roof-1.token --data-dir roof-1

    The options below stand before the command, as in: bandwatch --json models list
    """
    ctx.obj = GlobalOptions(coordinator, token_file, authorities or token_file.parent / AUTHORITIES_FILE, as_json)


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
app.add_typer(fleet.app, name="fleet")
app.add_typer(runs.app, name="runs")
app.add_typer(anomalies.app, name="anomalies")
app.add_typer(policies.app, name="policies")
app.add_typer(incidents.app, name="incidents")
app.add_typer(incidents.mutes, name="mutes")
app.add_typer(incidents.webhooks, name="webhooks")
app.add_typer(incidents.self_tests, name="self-tests")
app.add_typer(operators.app, name="operators")
app.add_typer(join_tokens.app, name="join-tokens")
app.add_typer(identities.certificates, name="certificates")
app.add_typer(identities.workers, name="workers")
app.add_typer(identities.audit, name="audit")
