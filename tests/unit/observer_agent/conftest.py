"""Fixtures of the agent's tests: a coordinator in memory, settings, a receiver fed by hand, agents in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from bandwatch.identity.identity_files import load_identity, save_identity
from observer_agent.agent.loop import Agent, Source
from observer_agent.detection.inspection import Inspection
from observer_agent.models.desired import DesiredState
from observer_agent.models.store import ModelStore
from observer_agent.places.positions import PositionSource
from observer_agent.settings import AgentSettings, Mobility
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import CENTER_HZ, RATE_HZ, HandFedReceiver
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher
from tests.unit.trusted_server import member

BAND = "bands/b1890"
CELL = "cells/oak-street"


class MakeSettings(Protocol):
    """Makes settings that point at the coordinator of the test."""

    def __call__(self, **changes: Any) -> AgentSettings:
        """Return them, with some changed."""


class StartAgent(Protocol):
    """Runs an agent on a receiver while a block lasts."""

    def __call__(
        self,
        receiver: HandFedReceiver,
        settings: AgentSettings | None = None,
        *,
        positions: PositionSource | None = None,
    ) -> AbstractAsyncContextManager["RunningAgent"]:
        """Return the context in which it runs; with positions it drives."""


class RunningAgent:
    """An agent in this process, with its spool and models."""

    def __init__(self, agent: Agent, spool: Spool, store: ModelStore, task: "asyncio.Task[None]") -> None:
        self.agent = agent
        self.spool = spool
        self.store = store
        self.task = task


@pytest.fixture
async def coordinator() -> AsyncIterator[FakeCoordinator]:
    """Give a coordinator that wants the test's cell watched, without a model and without training."""
    fake = FakeCoordinator()
    fake.desired = DesiredState(
        revision=1, cell=CELL, band=BAND, center_hz=CENTER_HZ, width_hz=RATE_HZ, training_target_s=0.0
    )
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def repository(coordinator: FakeCoordinator) -> ReleaseRepository:
    """Give the repository that the observer trusts; the coordinator hands out its files."""
    repository = ReleaseRepository()
    coordinator.metadata = repository.files
    return repository


@pytest.fixture
def publisher(coordinator: FakeCoordinator, repository: ReleaseRepository) -> Publisher:
    """Give what releases models for the test's cell."""
    return Publisher(coordinator, repository, BAND, CELL)


@pytest.fixture
def make_settings(tmp_path: Path, coordinator: FakeCoordinator, repository: ReleaseRepository) -> MakeSettings:
    """Give a function that makes settings."""
    address = f"127.0.0.1:{coordinator.port}"
    save_identity(tmp_path / "identity", member("observers/o1", address, release_root=repository.pinned))
    (tmp_path / "unused.json").write_text("{}")

    def make(**changes: Any) -> AgentSettings:
        options = {
            "data_dir": tmp_path / "data",
            "identity_dir": tmp_path / "identity",
            "simulate": tmp_path / "unused.json",
            "pace": "fast",
            "retry_base_s": 0.01,
            "retry_cap_s": 0.05,
            **changes,
        }
        return AgentSettings.from_options(options)

    return make


@pytest.fixture
def start_agent(make_settings: MakeSettings) -> StartAgent:
    """Give a function that runs an agent on a receiver."""

    @asynccontextmanager
    async def start(
        receiver: HandFedReceiver, settings: AgentSettings | None = None, *, positions: PositionSource | None = None
    ) -> AsyncIterator[RunningAgent]:
        settings = settings or make_settings()
        settings.data_dir.mkdir(exist_ok=True)
        identity = load_identity(settings.identity_folder, "")
        store = ModelStore(settings.data_dir / "models", identity.release_root)
        spool = Spool(settings.data_dir / "spool", limit_bytes=10**9, quarantine_limit_bytes=10**7)
        async with Uplink(settings, identity) as uplink:
            inspection = Inspection(settings.inspect) if settings.inspect else None
            mobility: Mobility = "static" if positions is None else "driving"
            source = Source(receiver, mobility, inspection=inspection, positions=positions)
            agent = Agent(settings, source, spool, store, uplink)
            task = asyncio.create_task(agent.run())
            try:
                yield RunningAgent(agent, spool, store, task)
            finally:
                agent.stop()
                await task
                spool.close()

    return start
