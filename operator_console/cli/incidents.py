"""bandwatch incidents, mutes, webhooks and self-tests."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from bandwatch import names
from bandwatch.errors import NotFoundError
from bandwatch.wire.v1 import incident_pb2 as pb
from operator_console.cli import views_incidents as views
from operator_console.cli.arguments import (
    DEFAULT_LIMIT,
    CellFilter,
    CellName,
    Limit,
    ObserverName,
    id_in,
    name_in,
    parse_span,
)
from operator_console.cli.session import open_session
from operator_console.cli.sigmf_export import export
from operator_console.cli.texts import number

app = typer.Typer(no_args_is_help=True, help="What observers saw that no model of normal could explain.")
mutes = typer.Typer(no_args_is_help=True, help="Parts of the spectrum that nobody is told of for a while.")
webhooks = typer.Typer(no_args_is_help=True, help="Addresses that are told of incidents.")
self_tests = typer.Typer(no_args_is_help=True, help="Known anomalies that an agent mixes into its own stream.")

IncidentName = Annotated[
    str, typer.Argument(metavar="INCIDENT", parser=name_in(names.incidents), help="Identifier or full name.")
]
MuteName = Annotated[str, typer.Argument(metavar="MUTE", parser=name_in(names.mutes), help="Identifier or full name.")]
WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", parser=id_in(names.webhooks), help="New identifier.")]
WebhookName = Annotated[
    str, typer.Argument(metavar="WEBHOOK", parser=name_in(names.webhooks), help="Identifier or full name.")
]
DeliveryName = Annotated[
    str, typer.Argument(metavar="DELIVERY", parser=name_in(names.deliveries), help="Identifier or full name.")
]
SelfTestName = Annotated[
    str, typer.Argument(metavar="SELF_TEST", parser=name_in(names.self_tests), help="Identifier or full name.")
]
Megahertz = Annotated[float, typer.Option(min=0, max=200_000, metavar="MHZ", help="Frequency in MHz.")]


@app.command("list")
def list_incidents(
    ctx: typer.Context,
    *,
    cell: CellFilter = "",
    state: Annotated[Literal["open", "ended"] | None, typer.Option(help="Only those in this state.")] = None,
    with_self_tests: Annotated[bool, typer.Option("--with-self-tests", help="Also those of self-tests.")] = False,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List incidents, newest first.

    Example: bandwatch incidents list --cell oak-street --state open
    """
    with open_session(ctx) as session:
        found = session.client.list_incidents(
            cell=cell, state=number(pb.IncidentState, state), with_self_tests=with_self_tests
        )
        session.output.many(views.INCIDENT, found, limit)


@app.command("get")
def get_incident(ctx: typer.Context, incident: IncidentName) -> None:
    """Show an incident with who saw it and how much evidence there is."""
    with open_session(ctx) as session:
        seen = session.client.get_incident(incident)
        session.output.one(views.INCIDENT, seen.incident, evidence=f"{len(seen.evidence)} segments")


@app.command("judge")
def judge_incident(
    ctx: typer.Context,
    incident: IncidentName,
    verdict: Annotated[
        Literal["true", "false", "known"] | None,
        typer.Option(help="Something to act on, a false alarm, or as it should be."),
    ] = None,
    note: Annotated[str, typer.Option(help="A note for people.")] = "",
) -> None:
    """Acknowledge an incident, and say what it was. What is false or known may train.

    Example: bandwatch incidents judge i-0a1b2c3d4e5f6071 --verdict known --note "the crane's radio"
    """
    with open_session(ctx) as session:
        judged = session.client.judge_incident(incident, number(pb.Verdict, verdict), note)
        session.output.one(views.INCIDENT, judged)


@app.command("export")
def export_incident(
    ctx: typer.Context,
    incident: IncidentName,
    folder: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the recording.")] = Path(),
) -> None:
    """Write the evidence of an incident as a SigMF recording with its events as annotations.

    Example: bandwatch incidents export i-0a1b2c3d4e5f6071 --to evidence
    """
    with open_session(ctx) as session:
        seen = session.client.get_incident(incident)
        band = next((band for band in session.client.list_bands() if band.name == seen.incident.band), None)
        if band is None:
            raise NotFoundError(f"{seen.incident.band} is not registered any more")
        written = export(folder, seen, band, session.client.read_segment)
        session.output.one(views.INCIDENT, seen.incident, written=str(written))


@mutes.command("create")
def create_mute(
    ctx: typer.Context,
    *,
    cell: CellName,
    low_mhz: Megahertz,
    high_mhz: Megahertz,
    lifetime: Annotated[
        timedelta, typer.Option("--for", parser=parse_span, metavar="SPAN", help="How long, such as 90s, 5m or 12h.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
) -> None:
    """Tell nobody of incidents of a cell that lie between two frequencies.

    Example: bandwatch mutes create --cell oak-street --low-mhz 880 --high-mhz 881 --for 2h
    """
    mute = pb.Mute(cell=cell, low_hz=low_mhz * 1e6, high_hz=high_mhz * 1e6, reason=reason)
    with open_session(ctx) as session:
        session.output.one(views.MUTE, session.client.create_mute(mute, lifetime))


@mutes.command("list")
def list_mutes(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List mutes by name, those that have expired too."""
    with open_session(ctx) as session:
        session.output.many(views.MUTE, session.client.list_mutes(), limit)


@mutes.command("delete")
def delete_mute(ctx: typer.Context, mute: MuteName) -> None:
    """End a mute."""
    with open_session(ctx) as session:
        session.client.delete_mute(mute)


@webhooks.command("create")
def create_webhook(
    ctx: typer.Context,
    webhook_id: WebhookId,
    url: Annotated[str, typer.Option(help="Address, http or https.")],
    severity: Annotated[
        Literal["low", "medium", "high"] | None, typer.Option(help="Least severity that it is told of; any else.")
    ] = None,
) -> None:
    """Register an address that is told of incidents. The key of the signatures is given this once.

    Example: bandwatch webhooks create duty --url https://duty.example/bandwatch --severity medium
    """
    webhook = pb.Webhook(url=url, severity=number(pb.Severity, severity))
    with open_session(ctx) as session:
        made, secret = session.client.create_webhook(webhook_id, webhook)
        session.output.one(views.WEBHOOK, made, secret=secret)


@webhooks.command("list")
def list_webhooks(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List webhooks by name."""
    with open_session(ctx) as session:
        session.output.many(views.WEBHOOK, session.client.list_webhooks(), limit)


@webhooks.command("delete")
def delete_webhook(ctx: typer.Context, webhook: WebhookName) -> None:
    """Delete a webhook with its messages."""
    with open_session(ctx) as session:
        session.client.delete_webhook(webhook)


@webhooks.command("deliveries")
def list_deliveries(
    ctx: typer.Context,
    state: Annotated[
        Literal["waiting", "delivered", "dead"] | None, typer.Option(help="Only those in this state.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List messages to webhooks, newest first.

    Example: bandwatch webhooks deliveries --state dead
    """
    with open_session(ctx) as session:
        found = session.client.list_deliveries(state=number(pb.DeliveryState, state))
        session.output.many(views.DELIVERY, found, limit)


@webhooks.command("retry")
def retry_delivery(ctx: typer.Context, delivery: DeliveryName) -> None:
    """Try a dead message again."""
    with open_session(ctx) as session:
        session.output.one(views.DELIVERY, session.client.retry_delivery(delivery))


@self_tests.command("create")
def create_self_test(ctx: typer.Context, observer: ObserverName) -> None:
    """Order an agent to mix a known anomaly into its own stream, and time the way to the incident.

    Example: bandwatch self-tests create roof-1
    """
    with open_session(ctx) as session:
        session.output.one(views.SELF_TEST, session.client.create_self_test(observer))


@self_tests.command("get")
def get_self_test(ctx: typer.Context, self_test: SelfTestName) -> None:
    """Show when each stage of a self-test was reached."""
    with open_session(ctx) as session:
        session.output.one(views.SELF_TEST, session.client.get_self_test(self_test))
