"""bandwatch runs."""

from typing import Annotated, Final, Literal

import typer

from bandwatch import names
from bandwatch.errors import FailedPreconditionError
from bandwatch.wire.v1.model_pb2 import (
    TRAINING_RUN_STATE_CANCELLED,
    TRAINING_RUN_STATE_FAILED,
    RolloutPlan,
    TrainingRunState,
)
from operator_console.cli.arguments import DEFAULT_LIMIT, BandName, CellName, Limit, RunName, name_in
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.views import RUN, progress_line
from operator_console.cli.views_policies import RUN_WITH_STAGES

app = typer.Typer(no_args_is_help=True, help="Training runs, which make teachers and students.")

MaxEpochs = Annotated[int, typer.Option(min=1, max=10_000, help="Passes over the data at most.")]
StrideFrames = Annotated[int, typer.Option(min=1, max=1000, help="Frames between the starts of training windows.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every random choice.")]
Release = Annotated[
    bool,
    typer.Option(
        "--release", help="Release the model as soon as the run succeeds; a student only if it beats its teacher."
    ),
]
AtOnce = Annotated[bool, typer.Option("--at-once", help="Release it to every observer at once, past all gates.")]
Families = Annotated[
    list[str] | None, typer.Option("--family", help="Family of models to choose among, once or more; else all.")
]
RunId = Annotated[str, typer.Option(help="Identifier; ordering again with the same one returns the same run.")]

_MAX_EPOCHS: Final = 30
_STRIDE_FRAMES: Final = 25


@app.command("create-teacher")
def create_teacher_run(
    ctx: typer.Context,
    *,
    band: BandName,
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cell", parser=name_in(names.cells), metavar="CELL", help="Cell to learn from, once or more; else all."
        ),
    ] = None,
    family: Annotated[
        str, typer.Option(help="Family of models: lstm-predictor (the usual one), autoencoder, linear or hybrid.")
    ] = "",
    layers: Annotated[
        int, typer.Option(min=0, max=64, help="LSTM layers, or dense layers of an autoencoder; 0 takes 2, or 4.")
    ] = 0,
    max_epochs: MaxEpochs = _MAX_EPOCHS,
    stride_frames: StrideFrames = _STRIDE_FRAMES,
    seed: Seed = 0,
    release: Release = False,
    at_once: AtOnce = False,
    run_id: RunId = "",
) -> None:
    """Order a teacher: a model of a band, learned from many contexts.

    Example: bandwatch runs create-teacher --band b5 --release
    """
    with open_session(ctx) as session:
        run = session.client.create_teacher_run(
            band,
            cells=cells or (),
            family=family,
            layers=layers,
            max_epochs=max_epochs,
            stride_frames=stride_frames,
            seed=seed,
            release_on_success=release,
            plan=RolloutPlan(at_once=True) if at_once else None,
            run_id=run_id,
        )
        session.output.one(RUN, run)


@app.command("create-student")
def create_student_run(
    ctx: typer.Context,
    *,
    cell: CellName,
    teachers: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            parser=name_in(names.models),
            metavar="MODEL",
            help="Model to start from, once or more: the best is taken; else all that are in force elsewhere.",
        ),
    ] = None,
    families: Families = None,
    frozen_layers: Annotated[
        int, typer.Option(min=0, max=64, help="Layers, counted from the input, that keep the teacher's weights.")
    ] = 2,
    max_epochs: MaxEpochs = _MAX_EPOCHS,
    stride_frames: StrideFrames = _STRIDE_FRAMES,
    seed: Seed = 0,
    release: Release = False,
    at_once: AtOnce = False,
    run_id: RunId = "",
) -> None:
    """Order a student: a model of one cell, the best of what its data and the teachers give.

    Example: bandwatch runs create-student --cell oak-street --release
    """
    with open_session(ctx) as session:
        run = session.client.create_student_run(
            cell,
            teachers=teachers or (),
            families=families or (),
            frozen_layers=frozen_layers,
            max_epochs=max_epochs,
            stride_frames=stride_frames,
            seed=seed,
            release_on_success=release,
            plan=RolloutPlan(at_once=True) if at_once else None,
            run_id=run_id,
        )
        session.output.one(RUN, run)


@app.command("get")
def get_run(ctx: typer.Context, run: RunName) -> None:
    """Show a training run."""
    with open_session(ctx) as session:
        session.output.one(RUN, session.client.get_run(run))


@app.command("show")
def show_run(ctx: typer.Context, run: RunName) -> None:
    """Show a training run with the time of each stage, from its order until its model runs everywhere.

    Example: bandwatch runs show r-0a1b2c3d4e5f6071
    """
    with open_session(ctx) as session:
        session.output.one(RUN_WITH_STAGES, session.client.get_run(run))


@app.command("cancel")
def cancel_run(ctx: typer.Context, run: RunName) -> None:
    """End a training run before it is done; its worker stops when it renews its lease next.

    Example: bandwatch runs cancel r-0a1b2c3d4e5f6071
    """
    with open_session(ctx) as session:
        session.output.one(RUN, session.client.cancel_run(run))


@app.command("list")
def list_runs(
    ctx: typer.Context,
    state: Annotated[
        Literal["queued", "running", "succeeded", "failed", "cancelled"] | None,
        typer.Option(help="Only those in this state."),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List training runs, newest first."""
    with open_session(ctx) as session:
        session.output.many(RUN, session.client.list_runs(state=number(TrainingRunState, state)), limit)


@app.command("watch")
def watch_run(ctx: typer.Context, run: RunName) -> None:
    """Follow a training run until it ends; the exit code is 1 when it failed or was cancelled.

    Example: bandwatch runs watch r-0a1b2c3d4e5f6071
    """
    with open_session(ctx) as session:
        for seen in session.client.watch_run(run):
            session.output.line(progress_line(seen))
        session.output.one(RUN, seen)
        if seen.state == TRAINING_RUN_STATE_FAILED:
            raise FailedPreconditionError(f"{seen.name} failed: {seen.last_error or 'the worker gave no reason'}")
        if seen.state == TRAINING_RUN_STATE_CANCELLED:
            raise FailedPreconditionError(f"{seen.name} was cancelled")
