"""The audit log says of every change who made it by what, and what was before and after; and never a secret."""

import asyncio
import json
from pathlib import Path

import grpc
import grpc.aio
import pytest

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import identity_pb2, observer_service_pb2
from bandwatch.wire.v1.authority_pb2 import ROLE_VIEWER
from coordinator.registry.callers import SCHEDULE, Role, current_caller
from coordinator.registry.entities import Cell
from coordinator.registry.session import Registry
from coordinator.services.identity import host_commands
from tests.integration.conftest import Coordinator, Network

RawCall = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


async def entries(coordinator: Coordinator, **filters: str) -> list[identity_pb2.AuditEntry]:
    async with coordinator.admin() as admin:
        request = identity_pb2.ListAuditEntriesRequest(page_size=1000, **filters)  # type: ignore[arg-type] # of words
        return list((await admin.ListAuditEntries(request)).entries)


async def test_a_change_tells_who_did_what_and_the_row_before_and_after(
    coordinator: Coordinator, network: Network
) -> None:
    del network
    async with coordinator.admin() as admin:
        observer = (await admin.GetObserver(pb.GetObserverRequest(name="observers/roof"))).observer
        observer.title = "on the roof"
        await admin.UpdateObserver(pb.UpdateObserverRequest(observer=observer))
    changed, created = await entries(coordinator, subject="observers roof")
    assert (changed.actor, changed.action) == ("operators/tester", "UpdateObserver")
    assert [json.loads(row)["title"] for row in (changed.before, changed.after)] == ["", "on the roof"]
    assert (created.actor, created.action, created.before) == ("operators/tester", "CreateObserver", "")
    [band] = await entries(coordinator, subject="bands north")
    assert json.loads(band.after)["center_hz"] == 881.5e6


async def test_what_a_member_does_it_does_in_its_own_name(coordinator: Coordinator, network: Network) -> None:
    del network
    found = await entries(coordinator, actor="observers/roof")
    assert {(entry.action, entry.subject.split()[0]) for entry in found} == {
        ("Enroll", "join_tokens"),
        ("Enroll", "certificates"),
    }


async def test_an_observer_that_only_reports_changes_nothing_worth_an_entry(
    coordinator: Coordinator, network: Network
) -> None:
    before = await entries(coordinator)
    state = observer_service_pb2.ReportedState(agent_version="0.2.0", windows_scored=7)
    async with coordinator.observer(network.tokens["roof"]) as service:
        await service.Sync(observer_service_pb2.SyncRequest(state=state))
    assert await entries(coordinator) == before


async def test_no_secret_and_no_digest_of_one_is_in_the_log(coordinator: Coordinator, network: Network) -> None:
    del network
    async with coordinator.admin() as admin:
        operator = identity_pb2.Operator(role=ROLE_VIEWER)
        made = await admin.CreateOperator(identity_pb2.CreateOperatorRequest(operator_id="eve", operator=operator))
    found = await entries(coordinator)
    assert {entry.subject.split()[0] for entry in found} >= {"operators", "join_tokens", "certificates", "observers"}
    everything = str(found)
    assert made.token not in everything
    assert "digest" not in "".join(entry.before + entry.after for entry in found if "operators" in entry.subject)
    assert "secret" not in everything


async def test_what_the_schedule_and_what_nobody_known_changes_is_told_apart(
    coordinator: Coordinator, network: Network
) -> None:
    del network
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)

    async def rename(title: str) -> None:
        async with registry.transaction() as session:
            cell = await session.get(Cell, "oak")
            assert cell is not None
            cell.title = title

    async def as_the_schedule() -> None:
        current_caller.set(SCHEDULE)
        await rename("by the schedule")

    await asyncio.create_task(as_the_schedule())
    await rename("by hand")
    await registry.close()
    by_hand, by_schedule, _ = await entries(coordinator, subject="cells oak")
    assert (by_schedule.actor, by_schedule.action) == ("schedule", "sweep")
    assert (by_hand.actor, by_hand.action) == ("database user postgres", "update")


async def test_commands_on_the_host_make_operators_and_join_tokens_and_are_written_down(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    settings = coordinator.settings
    await host_commands.make_operator(settings, "alice", Role.VIEWER, tmp_path / "new" / "alice.token")
    token = (tmp_path / "new" / "alice.token").read_text()
    await host_commands.make_operator(settings, "alice", Role.OPERATOR, tmp_path / "new" / "alice.token")
    assert (tmp_path / "new" / "alice.token").read_text() == token, "what is there already is taken"
    async with coordinator.open_channel(token.strip()) as channel:
        listing: RawCall = channel.unary_unary("/bandwatch.v1.AdminService/ListBands")
        assert await listing(b"", timeout=10) == b""
    text = await host_commands.make_join_token(settings, Role.WORKER, "workers/w7", None, trusted=False)
    assert JoinToken.from_text(text).member == "workers/w7"
    assert {entry.action for entry in await entries(coordinator, actor="host")} == {"make-operator", "make-join-token"}
    (tmp_path / "short").write_text("1234")
    with pytest.raises(InvalidArgumentError, match="characters"):
        await host_commands.make_operator(settings, "bob", Role.ADMIN, tmp_path / "short")
    with pytest.raises(InvalidArgumentError, match="an operator is one of"):
        await host_commands.make_operator(settings, "bob", Role.WORKER, tmp_path / "none")
    with pytest.raises(InvalidArgumentError, match="only observers and workers"):
        await host_commands.make_join_token(settings, Role.ADMIN, "", None, trusted=False)
    with pytest.raises(FailedPreconditionError, match="name the cell"):
        await host_commands.make_join_token(settings, Role.OBSERVER, "observers/new", None, trusted=False)


async def test_the_last_admin_cannot_be_deleted(coordinator: Coordinator) -> None:
    async with coordinator.admin() as admin:
        with pytest.raises(Exception, match="last admin"):
            await admin.DeleteOperator(identity_pb2.DeleteOperatorRequest(name="operators/tester"))
