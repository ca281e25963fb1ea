"""The command bandwatch-agent. What takes long to import is imported where it is used: --help answers at once."""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bandwatch.errors import BandwatchError, InvalidArgumentError
from bandwatch.logs import configure_logs
from observer_agent.settings import ENVIRONMENT_PREFIX, AgentSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _option(setting: str, *flags: str) -> Any:
    return typer.Option(*flags, help=AgentSettings.model_fields[setting].description, show_default=False)


@app.callback()
def describe() -> None:
    """The agent on an observer: radio in, anomalies out."""


@app.command(epilog=f"Every setting can come from the environment instead, such as {ENVIRONMENT_PREFIX}DATA_DIR.")
def run(  # settings that people change often; the others come from the environment
    *,
    data_dir: Annotated[Path | None, _option("data_dir")] = None,
    identity_dir: Annotated[Path | None, _option("identity_dir")] = None,
    coordinator: Annotated[str | None, _option("coordinator")] = None,
    recording: Annotated[Path | None, _option("recording")] = None,
    simulate: Annotated[Path | None, _option("simulate")] = None,
    drive: Annotated[Path | None, _option("drive")] = None,
    track: Annotated[Path | None, _option("track")] = None,
    gpsd: Annotated[str | None, _option("gpsd")] = None,
    serving_cell: Annotated[Path | None, _option("serving_cell")] = None,
    anomalies: Annotated[Path | None, _option("anomalies")] = None,
    loop: Annotated[bool | None, _option("loop", "--loop/--once")] = None,
    passes: Annotated[int | None, _option("passes")] = None,
    start_seconds: Annotated[float | None, _option("start_seconds")] = None,
    duration_seconds: Annotated[float | None, _option("duration_seconds")] = None,
    center_hz: Annotated[float | None, _option("center_hz")] = None,
    pace: Annotated[str | None, _option("pace")] = None,
    mobility: Annotated[str | None, _option("mobility")] = None,
    stride_frames: Annotated[int | None, _option("stride_frames")] = None,
    false_alarm_rate: Annotated[float | None, _option("false_alarm_rate")] = None,
    score: Annotated[str | None, _option("score")] = None,
    threshold_method: Annotated[str | None, _option("threshold_method")] = None,
    spool_limit_mb: Annotated[int | None, _option("spool_limit_mb")] = None,
    inspect: Annotated[Path | None, _option("inspect")] = None,
    exit_at_end: Annotated[bool | None, _option("exit_at_end", "--exit-at-end")] = None,
) -> None:
    """Listen, score, report, and run the model that the coordinator wants."""
    options = locals()
    try:
        settings = AgentSettings.from_options(options)
        from observer_agent.app import run as run_agent

        run_agent(settings)
    except BandwatchError as error:
        _leave(error)


@app.command()
def enroll(
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="Coordinator to join.")],
    token: Annotated[
        str, typer.Option(envvar="BANDWATCH_JOIN_TOKEN", help="Join token that an operator made.", show_default=False)
    ] = "",
    token_file: Annotated[Path | None, typer.Option(help="File that holds the join token instead.")] = None,
    name: Annotated[str, typer.Option(help="observers/NAME to be, where the token leaves it open.")] = "",
    data_dir: Annotated[
        Path | None, typer.Option(envvar=f"{ENVIRONMENT_PREFIX}DATA_DIR", help="Folder of the agent.")
    ] = None,
    identity_dir: Annotated[
        Path | None,
        typer.Option(envvar=f"{ENVIRONMENT_PREFIX}IDENTITY_DIR", help="Folder for the identity, if not in that one."),
    ] = None,
) -> None:
    """Make a key on this machine, and exchange a join token for the certificate of an observer.

    Example: bandwatch-agent enroll --coordinator coordinator.example.org:50051 --token-file roof.token --data-dir roof
    """
    from bandwatch.identity.join_tokens import read_join_token
    from bandwatch.wire.enrollment import enroll as join

    folder = identity_dir or (data_dir and data_dir / "identity")
    try:
        if folder is None:
            raise InvalidArgumentError("say where the identity is to be kept: give --data-dir or --identity-dir")
        made = join(coordinator, read_join_token(token, token_file), name, folder)
    except BandwatchError as error:
        _leave(error)
    typer.echo(f"{made.name} is enrolled; its certificate is good until {made.good_until}")


@app.command()
def status(
    data_dir: Annotated[Path, typer.Option(envvar=f"{ENVIRONMENT_PREFIX}DATA_DIR", help="Folder of that agent.")],
) -> None:
    """Print what an agent runs and holds."""
    from observer_agent.agent.status import read_status

    try:
        found = read_status(data_dir)
    except BandwatchError as error:
        _leave(error)
    age_s = (datetime.now(UTC) - found.written_at).total_seconds()
    typer.echo(f"{'age_s':20} {age_s:.1f}")
    for name, value in found.model_dump(mode="json").items():
        typer.echo(f"{name:20} {value}")


@app.command()
def simulate(
    network: Annotated[
        Path,
        typer.Option(metavar="FILE", help="TOML file of bands, cells, observers and anomalies.", show_default=False),
    ],
    data_dir: Annotated[Path, typer.Option(help="Folder of all agents; each has one of its own in it.")] = Path(
        "simulated-fleet"
    ),
    observers: Annotated[
        int | None, typer.Option(min=1, max=5000, help="How many; those of the file, repeated as often as needed.")
    ] = None,
    coordinator: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where observers enrol that have no identity yet.")
    ] = "",
    tokens: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File with one join token a line, or a folder of such files.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="When to end; without it, a signal ends it.")
    ] = None,
    listen_seconds: Annotated[float, typer.Option(min=0.1, help="How long each observer listens in a period.")] = 0.64,
    period_seconds: Annotated[float, typer.Option(min=0.1, help="The period.")] = 20.0,
    start_seconds: Annotated[
        float, typer.Option(min=0, help="What the network's clock shows at first, since its midnight.")
    ] = 0.0,
    cut_seconds: Annotated[float, typer.Option(min=0, help="How long a link that is cut stays so.")] = 5.0,
    cut_every_seconds: Annotated[
        float, typer.Option(min=0, help="Time between cuts of one link, on average; 0: none is cut.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Another one cuts links at other times.")] = 0,
    deliver_seconds: Annotated[
        float, typer.Option(min=0, help="How long agents may go on delivering when the radio has ended.")
    ] = 60.0,
    report: Annotated[Path, typer.Option(metavar="FILE", help="Where the account is written, as JSON.")] = Path(
        "simulated-fleet.json"
    ),
    *,
    registration: Annotated[
        bool, typer.Option("--registration", help="Only print the commands that register the network.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what every agent logs.")] = False,
) -> None:
    """Run many agents in this process, on one simulated network, and say what the coordinator should know at the end.

    Everything but radio is real: enrolment, mutual TLS, spools, uploads, models, detection. Radio is computed as frames
    for --listen-seconds in every --period-seconds, at another moment for each observer; in between an observer hears
    nothing. While a link is cut its calls break off without an answer, and no others are made.

    The first SIGTERM or SIGINT ends the radio, and agents deliver what they made; the second ends them at once.

    Example: bandwatch-agent simulate --network town.toml --observers 50 --coordinator 127.0.0.1:50051 --tokens tokens
    """
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(
            library, "1"
        )  # before numpy is imported: threads of many agents would wait for each other
    from bandwatch.lte.network.network import read_network
    from observer_agent.simulation.account import table_of, write_account
    from observer_agent.simulation.fleet import make_fleet
    from observer_agent.simulation.links import LinkFaults
    from observer_agent.simulation.radio import DutyCycle
    from observer_agent.simulation.registration import registration_commands
    from observer_agent.simulation.running import SimulationOptions
    from observer_agent.simulation.running import simulate as run_fleet

    configure_logs("bandwatch-agent", level=logging.INFO if verbose else logging.CRITICAL)
    try:
        description = read_network(network).description
        size = observers or len(description.observers)
        if registration:
            typer.echo("\n".join(registration_commands(description, make_fleet(description, size))))
            return
        if not report.absolute().parent.is_dir():
            raise InvalidArgumentError(f"{report} cannot be written: give --report a file in a folder that exists")
        options = SimulationOptions(
            network=network,
            observers=size,
            data_dir=data_dir,
            coordinator=coordinator,
            tokens=tokens,
            duration_s=duration,
            duty=DutyCycle(listen_seconds, period_seconds),
            start_s=start_seconds,
            faults=LinkFaults(cut_seconds, cut_every_seconds, seed),
            deliver_s=deliver_seconds,
        )
        account = run_fleet(options, lambda line: typer.echo(line, err=True))
        write_account(report, account)
    except BandwatchError as error:
        _leave(error)
    typer.echo(table_of(account))
    typer.echo(f"the whole account is in {report}")


def _leave(error: BandwatchError) -> NoReturn:
    typer.echo(f"bandwatch-agent: {error.message}", err=True)
    sys.exit(1)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
