"""The command bandwatch-agent. What takes long to import is imported where it is used: --help answers at once."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bandwatch.errors import BandwatchError
from observer_agent.settings import ENVIRONMENT_PREFIX, AgentSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _option(setting: str, *flags: str) -> Any:
    return typer.Option(*flags, help=AgentSettings.model_fields[setting].description, show_default=False)


@app.callback()
def describe() -> None:
    """The agent on an observer: radio in, anomalies out."""


@app.command(epilog=f"Every setting can come from the environment instead, such as {ENVIRONMENT_PREFIX}COORDINATOR.")
def run(  # settings that people change often; the others come from the environment
    *,
    coordinator: Annotated[str | None, _option("coordinator")] = None,
    observer: Annotated[str | None, _option("observer")] = None,
    token_file: Annotated[Path | None, _option("token_file")] = None,
    trusted_keys: Annotated[Path | None, _option("trusted_keys")] = None,
    data_dir: Annotated[Path | None, _option("data_dir")] = None,
    recording: Annotated[Path | None, _option("recording")] = None,
    simulate: Annotated[Path | None, _option("simulate")] = None,
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
