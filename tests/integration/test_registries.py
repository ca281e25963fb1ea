"""What operators register: listed, guarded by revisions, and kept in the schema that the entities describe."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text

from bandwatch.errors import FailedPreconditionError, UnavailableError
from bandwatch.identity.join_tokens import JoinToken, secret_digest
from bandwatch.wire.channel import newcomer_credentials, open_blocking_channel
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import authority_pb2, identity_pb2, spectrum_pb2
from coordinator.registry import schema
from coordinator.registry.entities import Entity
from coordinator.registry.session import Registry
from coordinator.rpc.identity import SERVICES
from coordinator.services.paging import _seal
from coordinator.settings import ENVIRONMENT_PREFIX, CoordinatorSettings
from tests.integration.conftest import Coordinator, Network

if TYPE_CHECKING:  # this name exists in the stubs only
    from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceAsyncStub

BAND = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6)
CELL = spectrum_pb2.Cell(band="bands/north")
OBSERVER = pb.Observer(cell="cells/oak", mobility=spectrum_pb2.MOBILITY_STATIC)

Ask = Callable[["AdminServiceAsyncStub"], Awaitable[object]]


async def status_of(coordinator: Coordinator, ask: Ask) -> grpc.StatusCode:
    """Ask as an operator, and return how it ended."""
    async with coordinator.admin() as admin:
        try:
            await ask(admin)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


CREATE: dict[str, Ask] = {
    "band": lambda admin: admin.CreateBand(pb.CreateBandRequest(band_id="north", band=BAND)),
    "cell": lambda admin: admin.CreateCell(pb.CreateCellRequest(cell_id="oak", cell=CELL)),
    "observer": lambda admin: admin.CreateObserver(pb.CreateObserverRequest(observer_id="roof", observer=OBSERVER)),
}


async def _bands(admin: "AdminServiceAsyncStub", token: str) -> tuple[list[str], str]:
    page = await admin.ListBands(pb.ListBandsRequest(page_size=2, page_token=token))
    return [band.name for band in page.bands], page.next_page_token


async def _cells(admin: "AdminServiceAsyncStub", token: str) -> tuple[list[str], str]:
    page = await admin.ListCells(pb.ListCellsRequest(page_size=2, page_token=token, band="bands/north"))
    return [cell.name for cell in page.cells], page.next_page_token


async def _observers(admin: "AdminServiceAsyncStub", token: str) -> tuple[list[str], str]:
    page = await admin.ListObservers(pb.ListObserversRequest(page_size=2, page_token=token, cell="cells/oak"))
    return [observer.name for observer in page.observers], page.next_page_token


async def _register_five_of_each(admin: "AdminServiceAsyncStub") -> None:
    for identifier in ("e", "c", "a", "d", "b"):
        await admin.CreateBand(pb.CreateBandRequest(band_id=identifier, band=BAND))
        await admin.CreateCell(pb.CreateCellRequest(cell_id=identifier, cell=CELL))
        await admin.CreateObserver(pb.CreateObserverRequest(observer_id=identifier, observer=OBSERVER))


@pytest.mark.usefixtures("network")
async def test_lists_go_through_every_entry_once_in_order_two_at_a_time(coordinator: Coordinator) -> None:
    async with coordinator.admin() as admin:
        await _register_five_of_each(admin)
        for list_page, word, others in (
            (_bands, "bands", ["north"]),
            (_cells, "cells", ["elm", "oak"]),
            (_observers, "observers", ["roof"]),
        ):
            names, token = await list_page(admin, "")
            while token:
                assert len(names) % 2 == 0, "every page but the last is full"
                more, token = await list_page(admin, token)
                names += more
            assert names == [f"{word}/{identifier}" for identifier in sorted(["a", "b", "c", "d", "e", *others])]


@pytest.mark.usefixtures("network")
async def test_an_entry_that_appears_between_two_pages_neither_repeats_nor_hides_another(
    coordinator: Coordinator,
) -> None:
    async with coordinator.admin() as admin:
        await _register_five_of_each(admin)
        first, token = await _bands(admin, "")
        await admin.CreateBand(pb.CreateBandRequest(band_id="aa", band=BAND))
        second, _ = await _bands(admin, token)
    assert first + second == ["bands/a", "bands/b", "bands/c", "bands/d"]


@pytest.mark.usefixtures("network")
async def test_a_page_size_of_zero_gives_them_all(coordinator: Coordinator) -> None:
    async with coordinator.admin() as admin:
        page = await admin.ListCells(pb.ListCellsRequest())
    assert [cell.name for cell in page.cells] == ["cells/elm", "cells/oak"]
    assert page.next_page_token == ""


async def test_a_token_that_no_list_gave_is_refused_whatever_is_in_it(coordinator: Coordinator) -> None:
    def listing(token: str) -> Ask:
        return lambda admin: _bands(admin, token)

    for token in ("garbage", _seal(["oak\0"]), _seal(["\ud800"]), _seal([2**70]), _seal([None]), _seal([[]])):
        assert await status_of(coordinator, listing(token)) is grpc.StatusCode.INVALID_ARGUMENT
    huge = pb.ListSegmentsRequest(page_token=_seal(["roof", "0" * 32, 2**63]))
    assert await status_of(coordinator, lambda admin: admin.ListSegments(huge)) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("kind", CREATE)
async def test_what_exists_cannot_be_created_again(coordinator: Coordinator, kind: str) -> None:
    assert await status_of(coordinator, CREATE[kind]) is grpc.StatusCode.ALREADY_EXISTS


async def test_of_those_who_create_one_thing_at_the_same_time_one_succeeds_and_the_others_learn_of_it(
    coordinator: Coordinator,
) -> None:
    async with coordinator.admin() as admin:
        for kind, create in CREATE.items():
            tries = await asyncio.gather(*(create(admin) for _ in range(8)), return_exceptions=True)
            codes = Counter(
                answer.code() if isinstance(answer, grpc.aio.AioRpcError) else grpc.StatusCode.OK for answer in tries
            )
            assert codes.pop(grpc.StatusCode.OK) == 1, kind
            assert set(codes) <= {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.ABORTED}, kind
            assert await status_of(coordinator, create) is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.usefixtures("network")
async def test_a_cell_needs_its_band_and_an_observer_its_cell(coordinator: Coordinator) -> None:
    cell = pb.CreateCellRequest(cell_id="ash", cell=spectrum_pb2.Cell(band="bands/nowhere"))
    elsewhere = pb.Observer(name="observers/roof", cell="cells/nowhere", mobility=OBSERVER.mobility, revision=1)
    asks: list[Ask] = [
        lambda admin: admin.CreateCell(cell),
        lambda admin: admin.CreateObserver(pb.CreateObserverRequest(observer_id="mast", observer=elsewhere)),
        lambda admin: admin.UpdateObserver(pb.UpdateObserverRequest(observer=elsewhere)),
    ]
    for ask in asks:
        assert await status_of(coordinator, ask) is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_title_that_the_database_cannot_hold_is_refused_with_a_reason(coordinator: Coordinator) -> None:
    band = spectrum_pb2.Band(center_hz=1e9, width_hz=5e6, title="north\0east")
    async with coordinator.admin() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.CreateBand(pb.CreateBandRequest(band_id="north", band=band))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "NUL" in (caught.value.details() or "")


async def _observer(coordinator: Coordinator) -> pb.Observer:
    async with coordinator.admin() as admin:
        return (await admin.GetObserver(pb.GetObserverRequest(name="observers/roof"))).observer


@pytest.mark.usefixtures("network")
async def test_an_update_of_the_present_revision_is_made_and_raises_it(coordinator: Coordinator) -> None:
    wanted = await _observer(coordinator)
    assert wanted.revision == 1
    wanted.cell, wanted.title, wanted.mobility = "cells/elm", "Roof", spectrum_pb2.MOBILITY_WALKING
    wanted.training_target.FromSeconds(42)
    async with coordinator.admin() as admin:
        answer = (await admin.UpdateObserver(pb.UpdateObserverRequest(observer=wanted))).observer
    wanted.revision = 2
    assert answer == await _observer(coordinator) == wanted


@pytest.mark.usefixtures("network")
async def test_an_update_of_an_older_revision_changes_nothing(coordinator: Coordinator) -> None:
    first = await _observer(coordinator)
    first.title = "mine"
    second = pb.Observer()
    second.CopyFrom(first)
    second.title = "theirs"

    def update(observer: pb.Observer) -> Ask:
        return lambda admin: admin.UpdateObserver(pb.UpdateObserverRequest(observer=observer))

    assert await status_of(coordinator, update(first)) is grpc.StatusCode.OK
    assert await status_of(coordinator, update(second)) is grpc.StatusCode.ABORTED
    after = await _observer(coordinator)
    assert (after.title, after.revision) == ("mine", 2)
    second.revision = 3
    assert await status_of(coordinator, update(second)) is grpc.StatusCode.ABORTED


async def test_a_token_is_shown_once_and_kept_as_its_digest_only(coordinator: Coordinator, network: Network) -> None:
    del network
    async with coordinator.admin() as admin:
        operator = identity_pb2.Operator(role=authority_pb2.ROLE_VIEWER)
        made = await admin.CreateOperator(identity_pb2.CreateOperatorRequest(operator_id="eve", operator=operator))
        wanted = identity_pb2.JoinToken(role=authority_pb2.ROLE_OBSERVER, member="observers/roof")
        invited = await admin.CreateJoinToken(identity_pb2.CreateJoinTokenRequest(join_token=wanted))
    shown = {made.token, JoinToken.from_text(invited.token).secret}
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    try:
        async with registry.transaction() as session:
            tables = "SELECT row_to_json(r)::text FROM {} AS r"
            found: list[str] = []
            for table in ("operators", "join_tokens", "audit_entries"):
                found += (await session.execute(text(tables.format(table)))).scalars()
    finally:
        await registry.close()
    assert not any(secret in row for row in found for secret in shown)
    assert all(any(secret_digest(secret) in row for row in found) for secret in shown)


async def test_health_is_told_to_anybody_for_the_server_and_each_service(coordinator: Coordinator) -> None:
    async with coordinator.open_channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service


async def test_reflection_lists_the_four_services_and_knows_their_messages(coordinator: Coordinator) -> None:
    def look() -> tuple[set[str], str]:
        with open_blocking_channel(coordinator.address, newcomer_credentials(coordinator.authorities)) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            services = {name for name in database.get_services() if name.startswith("bandwatch.")}
            return services, database.FindFileContainingSymbol("bandwatch.v1.Segment").name

    services, file = await asyncio.to_thread(look)
    audiences = ("Enrollment", "Observer", "Training", "Admin")
    assert services == {f"bandwatch.v1.{audience}Service" for audience in audiences}
    assert file == "bandwatch/v1/spectrum.proto"


@pytest.fixture
def url(empty_database_url: str) -> URL:
    return make_url(empty_database_url).set(drivername="postgresql+psycopg")


def differences(url: URL) -> list[object]:
    """Return what the entities say and the database does not, or the other way round."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return list(compare_metadata(MigrationContext.configure(connection), Entity.metadata))
    finally:
        engine.dispose()


def test_a_migrated_database_is_what_the_entities_describe(url: URL) -> None:
    assert differences(url) != []
    schema.migrate(url)
    assert differences(url) == []


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def rows_of(url: URL, query: str) -> list[tuple[object, ...]]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


FIRST_ROWS = """
INSERT INTO bands VALUES ('north', '', 1e9, 5e6, 'downlink');
INSERT INTO cells VALUES ('oak', '', 'north');
INSERT INTO observers VALUES ('roof', '', 'oak', 'static', '5 min', 'digest', 1);
INSERT INTO anomalies VALUES ('roof', 'boot', 1, 'oak', now(), '32 ms', 4.5, 3.5, 0.01, 'm', 7);
INSERT INTO training_runs (id, kind, "order", release_on_success, seed, state, attempts, fence, segment_count)
    VALUES ('first', 'teacher', '{}', true, 1, 'queued', 0, 0, 1);
"""


@pytest.fixture
def first_schema(url: URL) -> URL:
    """Give a database with the first schema, and an anomaly and an ordered run in it."""
    with connected(url) as connection:
        command.upgrade(schema.configuration(connection), "0001")
        for statement in filter(str.strip, FIRST_ROWS.split(";")):
            connection.execute(text(statement))
    return url


def test_anomalies_of_the_time_when_the_error_was_the_only_score_are_kept_as_such(first_schema: URL) -> None:
    schema.migrate(first_schema)
    assert differences(first_schema) == []
    found = rows_of(first_schema, "SELECT score, value, threshold, error_db FROM anomalies")
    assert found == [("error", 4.5, 3.5, 4.5)]
    assert rows_of(first_schema, "SELECT id, remark FROM training_runs") == [("first", None)]


def test_the_second_schema_can_be_taken_back_and_made_again(first_schema: URL) -> None:
    schema.migrate(first_schema)
    with connected(first_schema) as connection:
        command.downgrade(schema.configuration(connection), "0001")
    assert rows_of(first_schema, "SELECT error_db, threshold_db FROM anomalies") == [(4.5, 3.5)]
    schema.migrate(first_schema)
    assert differences(first_schema) == []


def test_migrating_again_is_harmless(url: URL) -> None:
    schema.migrate(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO bands VALUES ('north', '', 1e9, 5e6, 'downlink')"))
    schema.migrate(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM bands")).scalars().all() == ["north"]
    engine.dispose()
    assert differences(url) == []


async def test_coordinators_that_migrate_at_the_same_time_wait_for_one_another(
    url: URL, empty_database_url: str
) -> None:
    environment = {**os.environ, f"{ENVIRONMENT_PREFIX}DATABASE_URL": empty_database_url}
    programs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coordinator", "migrate", env=environment, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for program in programs:
        _, said = await program.communicate()
        assert program.returncode == 0, said.decode()
    assert differences(url) == []
    engine = create_engine(url)
    assert set(inspect(engine).get_table_names()) == {*Entity.metadata.tables, "alembic_version"}
    engine.dispose()


def test_a_coordinator_does_not_serve_a_database_without_its_schema(empty_database_url: str) -> None:
    settings = CoordinatorSettings.model_validate({"database_url": empty_database_url})
    with pytest.raises(FailedPreconditionError, match="bandwatch-coordinator migrate"):
        schema.require_newest(settings.sqlalchemy_url())
    schema.migrate(settings.sqlalchemy_url())
    schema.require_newest(settings.sqlalchemy_url())


def test_a_database_that_is_away_is_told_in_a_sentence() -> None:
    settings = CoordinatorSettings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    with pytest.raises(UnavailableError, match="cannot be used"):
        schema.migrate(settings.sqlalchemy_url())
