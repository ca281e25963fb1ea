"""bandwatch observers."""

from typing import Annotated, Final, Literal

import typer

from bandwatch.wire.v1.spectrum_pb2 import Mobility, Trust
from operator_console.cli.arguments import (
    DEFAULT_LIMIT,
    CellFilter,
    CellName,
    Limit,
    MobilityWord,
    ObserverId,
    ObserverName,
    OptionalCellName,
    OptionalMobilityWord,
    OptionalTitle,
    Title,
    TrainingTarget,
    UploadBudget,
)
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.token_places import TokenOut, place_for_token
from operator_console.cli.views import OBSERVER
from operator_console.cli.views_policies import HEALTH, REVOCATION

app = typer.Typer(no_args_is_help=True, help="Receivers and their agents.")
_MEGABYTE: Final = 1_000_000


@app.command("create")
def create_observer(
    ctx: typer.Context,
    observer_id: ObserverId,
    cell: CellName,
    mobility: MobilityWord,
    title: Title = "",
    training_target: TrainingTarget = None,
    upload_budget_mb: UploadBudget = None,
    trusted: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--trusted", help="Its data may train; otherwise it is on probation at first.")
    ] = False,
    token_out: TokenOut = None,
) -> None:
    """Register an observer. Its join token is given this once: the agent enrols with it within a day.

    Example: bandwatch observers create roof-1 --cell oak-street --mobility static --trusted --token-out roof-1.token
    """
    with open_session(ctx) as session, place_for_token(token_out) as keep:
        observer, token = session.client.create_observer(
            observer_id,
            cell=cell,
            mobility=number(Mobility, mobility),
            title=title,
            training_target=training_target,
            trusted=trusted,
            upload_budget_bytes=(upload_budget_mb or 0) * _MEGABYTE,
        )
        session.output.one(OBSERVER, observer, **keep(token))


@app.command("get")
def get_observer(ctx: typer.Context, observer: ObserverName) -> None:
    """Show an observer with what it should run and what it says it runs."""
    with open_session(ctx) as session:
        session.output.one(OBSERVER, session.client.get_observer(observer))


@app.command("list")
def list_observers(ctx: typer.Context, cell: CellFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List observers by name."""
    with open_session(ctx) as session:
        session.output.many(OBSERVER, session.client.list_observers(cell=cell), limit)


@app.command("update")
def update_observer(
    ctx: typer.Context,
    observer: ObserverName,
    cell: OptionalCellName = None,
    mobility: OptionalMobilityWord = None,
    title: OptionalTitle = None,
    training_target: TrainingTarget = None,
    upload_budget_mb: UploadBudget = None,
) -> None:
    """Change the given fields of an observer, and leave the rest.

    Example: bandwatch observers update van-7 --cell elm-road
    """
    if all(given is None for given in (cell, mobility, title, training_target, upload_budget_mb)):
        raise typer.BadParameter(
            "give at least one of --cell, --mobility, --title, --training-target, --upload-budget-mb"
        )
    with open_session(ctx) as session:
        changed = session.client.update_observer(
            observer,
            cell=cell,
            mobility=number(Mobility, mobility) if mobility else None,
            title=title,
            training_target=training_target,
            upload_budget_bytes=None if upload_budget_mb is None else upload_budget_mb * _MEGABYTE,
        )
        session.output.one(OBSERVER, changed)


@app.command("set-trust")
def set_trust(
    ctx: typer.Context,
    observer: ObserverName,
    trust: Annotated[Literal["trusted", "probation"], typer.Argument(help="Whether its data may train.")],
) -> None:
    """Say whether data of an observer may train.

    Example: bandwatch observers set-trust roof-1 trusted
    """
    with open_session(ctx) as session:
        session.client.set_observer_trust(observer, number(Trust, trust))
        session.output.one(OBSERVER, session.client.get_observer(observer))


@app.command("revoke")
def revoke_observer(
    ctx: typer.Context,
    observer: ObserverName,
    replace_models: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--replace-models", help="Order replacements of the models in force that learnt from it.")
    ] = False,
) -> None:
    """Shut an observer out for good: its data train no more, and the models that learnt from them are listed.

    Example: bandwatch observers revoke roof-1 --replace-models
    """
    with open_session(ctx) as session:
        session.output.one(REVOCATION, session.client.revoke_observer(observer, replace_models=replace_models))


@app.command("health")
def list_health(
    ctx: typer.Context,
    cell: CellFilter = "",
    faults: Annotated[bool, typer.Option("--faults", help="Only those that are not good.")] = False,  # noqa: FBT002 - an option
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List how observers compare with their own past and with the others of their cell.

    Example: bandwatch observers health --faults
    """
    with open_session(ctx) as session:
        session.output.many(HEALTH, session.client.list_observer_health(cell=cell, faults_only=faults), limit)
