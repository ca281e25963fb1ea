"""The command bandwatch-agent. What takes long to import is imported where it is used: --help answers at once."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bandwatch.errors import BandwatchError, InvalidArgumentError
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


def _leave(error: BandwatchError) -> NoReturn:
    typer.echo(f"bandwatch-agent: {error.message}", err=True)
    sys.exit(1)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
