"""Agents that say over real gRPC what a test wants: what they run, what they refuse, and how their windows were."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from bandwatch.wire.content import content_from_message
from bandwatch.wire.convert import to_duration_message, to_timestamp
from bandwatch.wire.v1 import admin_service_pb2, model_pb2, observer_service_pb2, spectrum_pb2, statistics_pb2
from coordinator import parts
from coordinator.registry import entities
from coordinator.registry.session import Registry
from coordinator.services.releasing import rollouts
from coordinator.services.releasing.plans import RolloutPlan
from tests.integration.conftest import Coordinator
from tests.integration.trained_models import content

if TYPE_CHECKING:  # these names exist in the stubs only
    from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceAsyncStub

BOOT = "fedcba9876543210" * 2
WINDOWS = 2000
_SPAN = timedelta(seconds=1)
_NUMBERS = itertools.count(1)


@dataclass
class ScriptedAgent:
    """One observer of a cell. It runs what it is told to, unless it refuses that or is deaf."""

    name: str
    cell: str
    service: "ObserverServiceAsyncStub"
    refuses: dict[int, str] = field(default_factory=dict)
    deaf: bool = False
    running: int = 0
    shadow: int = 0
    ever_ran: set[int] = field(default_factory=set)
    desired: observer_service_pb2.DesiredState = field(default_factory=observer_service_pb2.DesiredState)

    async def sync(self) -> None:
        """Say what runs, hear what is to run, become that, and say so."""
        for _ in range(2):
            state = observer_service_pb2.ReportedState(
                running_serial=self.running,
                shadow_serial=self.shadow,
                applied_revision=self.desired.revision,
                refused=[
                    observer_service_pb2.RefusedRelease(serial=serial, code=code, reason="as the test wants")
                    for serial, code in self.refuses.items()
                    if serial in (self.desired.release.serial, self.desired.shadow.serial)
                ],
            )
            answer = await self.service.Sync(observer_service_pb2.SyncRequest(state=state))
            self.desired = answer.desired
            if not self.deaf:
                self._become()

    def _become(self) -> None:
        if self.desired.release.serial not in self.refuses:
            self.running = self.desired.release.serial
            self.ever_ran.add(self.running)
        self.shadow = 0 if self.desired.shadow.serial in self.refuses else self.desired.shadow.serial

    async def report(
        self,
        error_db: float = 3.0,
        *,
        shadow_excess_db: float = 0.0,
        flagged: int = 20,
        unscored: int = 0,
        spans: int = 4,
        ended_at: datetime | None = None,
    ) -> list[statistics_pb2.ReportOutcome]:
        """Report spans of windows with about that error."""
        random = np.random.default_rng(len(self.name))
        told = []
        for error in error_db + random.normal(0, 0.02, spans):
            scores = [] if not self.running else [_scores(self.running, error, flagged, unscored)]
            comparison = None
            if self.shadow and self.running:
                scores.append(_scores(self.shadow, error + shadow_excess_db, flagged, unscored, shadow=True))
                comparison = _comparison(self.running, self.shadow, shadow_excess_db + random.normal(0, 0.01))
            told.append(_span(self.cell, scores, comparison, ended_at or datetime.now(UTC)))
        answer = await self.service.ReportStatistics(statistics_pb2.ReportStatisticsRequest(statistics=told))
        return list(answer.outcomes)


def _span(cell: str, scores: list[Any], comparison: Any, ended_at: datetime) -> statistics_pb2.Statistics:
    return statistics_pb2.Statistics(
        origin=spectrum_pb2.Origin(boot_id=BOOT, sequence=next(_NUMBERS)),
        cell=cell,
        start_time=to_timestamp(ended_at - _SPAN),
        duration=to_duration_message(_SPAN),
        radio=statistics_pb2.RadioStatistics(frames=3906, power_dbm=-90, noise_floor_dbm=-110),
        scores=scores,
        comparison=comparison,
    )


def _scores(
    serial: int, error_db: float, flagged: int, unscored: int, *, shadow: bool = False
) -> statistics_pb2.ScoreStatistics:
    scored = WINDOWS - unscored
    return statistics_pb2.ScoreStatistics(
        serial=serial,
        shadow=shadow,
        windows=WINDOWS,
        anomalous_windows=flagged,
        unscored_windows=unscored,
        error_sum_db=error_db * scored,
        error_square_sum_db2=error_db**2 * scored,
        false_alarm_rate=0.01,
        scoring_duration=to_duration_message(timedelta(seconds=0.1)),
    )


def _comparison(active: int, shadow: int, difference_db: float) -> statistics_pb2.ShadowComparison:
    return statistics_pb2.ShadowComparison(
        active_serial=active,
        shadow_serial=shadow,
        windows=WINDOWS,
        difference_sum_db=difference_db * WINDOWS,
        difference_square_sum_db2=difference_db**2 * WINDOWS,
    )


PLAN = RolloutPlan(canary_share=0.34, minimum_windows=1000, minimum_time_s=0.001, deadline_s=600)


@dataclass
class Fleet:
    """A coordinator, its observers in cell oak of band north, and what the schedule does."""

    coordinator: Coordinator
    registry: Registry
    admin: "AdminServiceAsyncStub"
    agents: list[ScriptedAgent]
    settings_changes: dict[str, object] = field(default_factory=dict)

    @property
    def rules(self) -> rollouts.Rules:
        """How the schedule looks at releases."""
        return parts.rollout_rules(self.coordinator.settings.model_copy(update=self.settings_changes))

    async def model(self, number: int, *, cell: str | None = "oak") -> str:
        """Register a model that nobody trained."""
        made = content_from_message(content(number)).model_dump(mode="json")
        async with self.registry.transaction() as session:
            session.add(entities.Model(id=f"m-{number}", band_id="north", cell_id=cell, content=made))
        return f"models/m-{number}"

    async def release(self, model: str, **changes: Any) -> model_pb2.Release:
        """Send a model on its way by hand."""
        plan = replace(PLAN, **changes)
        message = model_pb2.RolloutPlan(
            at_once=plan.at_once,
            shadow=plan.shadow,
            canary_share=plan.canary_share,
            minimum_windows=plan.minimum_windows,
            minimum_time=to_duration_message(timedelta(seconds=plan.minimum_time_s)),
            deadline=to_duration_message(timedelta(seconds=plan.deadline_s)),
        )
        request = admin_service_pb2.CreateReleaseRequest(model=model, plan=message)
        return (await self.admin.CreateRelease(request)).release

    async def get(self, release: model_pb2.Release) -> model_pb2.Release:
        """Read a release with its figures."""
        return (await self.admin.GetRelease(admin_service_pb2.GetReleaseRequest(name=release.name))).release

    async def releases(self) -> list[model_pb2.Release]:
        """List releases, newest first."""
        return list((await self.admin.ListReleases(admin_service_pb2.ListReleasesRequest())).releases)

    async def sync(self) -> None:
        """Let every agent ask what it is to be, and become that."""
        for agent in self.agents:
            await agent.sync()

    async def advance(self) -> None:
        """Do what the schedule does each second."""
        publisher = parts.make_publisher(self.coordinator.settings)
        async with self.registry.transaction() as session:
            await rollouts.advance(session, publisher, self.rules)


@asynccontextmanager
async def fleet_of(coordinator: Coordinator, observers: int, **settings: object) -> AsyncIterator[Fleet]:
    """Register band north with cell oak and so many observers in it."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=2)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(registry.close)
        admin = await stack.enter_async_context(coordinator.admin())
        band = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6, direction=spectrum_pb2.LINK_DIRECTION_DOWNLINK)
        await admin.CreateBand(admin_service_pb2.CreateBandRequest(band_id="north", band=band))
        cell = spectrum_pb2.Cell(band="bands/north")
        await admin.CreateCell(admin_service_pb2.CreateCellRequest(cell_id="oak", cell=cell))
        agents = []
        for number in range(observers):
            wanted = admin_service_pb2.Observer(cell="cells/oak", mobility=spectrum_pb2.MOBILITY_STATIC)
            request = admin_service_pb2.CreateObserverRequest(observer_id=f"o{number}", observer=wanted)
            identity = await coordinator.enroll((await admin.CreateObserver(request)).join_token)
            service = await stack.enter_async_context(coordinator.observer(identity))
            agents.append(ScriptedAgent(f"o{number}", "cells/oak", service))
        yield Fleet(coordinator, registry, admin, agents, dict(settings))
