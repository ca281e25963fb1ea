"""The command `evaluate paper`."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer


def paper(
    scale: Annotated[
        Literal["small", "full"],
        typer.Option(help="How much is computed: small takes a quarter of an hour on two cores, full a night."),
    ] = "small",
    out: Annotated[
        Path, typer.Option(help="Folder for results; a run that was stopped goes on from what is in it.")
    ] = (Path("paper-results")),
    only: Annotated[
        list[str] | None, typer.Option(help="Tables and figures to make, as in table-1; all unless named.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that compute, each on one core.")] = 2,
    seed: Annotated[
        int, typer.Option(min=0, help="Radio, random weights and the order of windows follow from it.")
    ] = 0,
    network: Annotated[
        Path | None, typer.Option(help="Network to simulate, as TOML; the paper's bands unless given.")
    ] = None,
) -> None:
    """Compute the seed paper's tables and figures on a simulated network, and judge its claims.

    Writes results.md, results.json and results.html, a page that needs nothing else.

    Example: bandwatch-worker evaluate paper --scale small --out paper-results
    """
    from training_worker.evaluation.paper.scale import SCALES  # noqa: PLC0415 - other commands start faster
    from training_worker.evaluation.paper.whole import evaluate_paper  # noqa: PLC0415 - the same

    started = time.monotonic()
    spent_s = evaluate_paper(
        SCALES[scale], out, only or (), jobs, seed, network, lambda text: typer.echo(text, err=True)
    )
    wall_s = time.monotonic() - started
    typer.echo(f"{wall_s / 60:.1f} min, {spent_s / 60:.1f} min of processor time.", err=True)
    typer.echo(out / "results.html")
