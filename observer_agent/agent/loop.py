"""The agent: converges on the desired state, listens, and delivers what it made."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Final

import structlog

from bandwatch.artifacts.ladder import rung_of
from bandwatch.errors import BandwatchError
from bandwatch.lte.anomalies.timetable import AnomalyMixer
from bandwatch.spectrogram.bands import FRAME_SECONDS
from observer_agent.agent.adoption import Adoption
from observer_agent.agent.convergence import Convergence
from observer_agent.agent.delivery import Delivery
from observer_agent.agent.keeping import Keeper
from observer_agent.agent.listening import Listener, Plan
from observer_agent.agent.navigation import Navigator, Position
from observer_agent.agent.renewal import Renewal
from observer_agent.agent.retry import keep_doing
from observer_agent.agent.status import AgentStatus, RefusedItem, RefusedRelease, write_status
from observer_agent.detection.inspection import Inspection
from observer_agent.detection.model import load_model
from observer_agent.models.store import ModelStore
from observer_agent.places.place_finder import Border
from observer_agent.places.positions import PositionSource
from observer_agent.receivers.blocks import Receiver
from observer_agent.settings import AgentSettings, Mobility
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Orders, Report

VERSION: Final = version("bandwatch")
_SHOWN_REFUSALS: Final = 10
_MEGABYTE: Final = 1_000_000
_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class Source:
    """What the agent listens to, how it moves, and what is mixed in or written out on the way."""

    receiver: Receiver
    mobility: Mobility
    mixer: AnomalyMixer | None = None
    inspection: Inspection | None = None
    positions: PositionSource | None = None


class Agent:
    """One observer. Make it inside a running event loop."""

    def __init__(
        self, settings: AgentSettings, source: Source, spool: Spool, store: ModelStore, uplink: Uplink
    ) -> None:
        self._settings = settings
        self._source = source
        self._uplink = uplink
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._delivery = Delivery(spool, uplink, settings)
        self._fault: BandwatchError | None = None
        self._keeper = Keeper(
            spool,
            settings,
            mobility=source.mobility,
            gain_db=source.receiver.gain_db,
            on_made=self._wake,
        )
        self._listener = Listener(
            source.receiver,
            self._keeper,
            settings,
            mixer=source.mixer,
            inspection=source.inspection,
            navigator=self._navigator(),
        )
        self._convergence = Convergence(
            settings.data_dir / "desired.json",
            store,
            uplink,
            Adoption(store, uplink, partial(load_model, read_blob=store.read, threads=settings.onnx_threads), settings),
            model_cache_bytes=settings.model_cache_mb * _MEGABYTE,
            make_report=self._report,
            on_plan=self._set_up,
            on_orders=self._heed,
        )

    def stop(self) -> None:
        """Make `run` return soon. What was made is in the spool then."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop` is called, or until everything is delivered if the settings say so.

        Raises:
            UnavailableError: The receiver broke.
        """
        await self._convergence.restore()
        with ThreadPoolExecutor(1, thread_name_prefix="radio") as radio:
            try:
                await self._run_tasks(radio)
            finally:
                self._listener.stop()
        if self._source.positions is not None:
            await asyncio.to_thread(self._source.positions.close)
        with suppress(BandwatchError, OSError):  # a full disk must not hide why the agent stops
            await self._write_status("stopped")
        if self._fault is not None:
            raise self._fault

    async def _run_tasks(self, radio: ThreadPoolExecutor) -> None:
        endless = {
            "sync": self._convergence.sync,
            "watch": self._convergence.watch,
            "look_ahead": self._convergence.look_ahead,
            "upload": self._delivery.upload,
            "events": self._delivery.report_events,
            "report": self._delivery.report,
            "report_statistics": self._delivery.report_statistics,
            "status": self._write_status_at_times,
            "certificate": Renewal(self._uplink, self._settings.identity_folder).renew,
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keep_doing(name, work, self._settings)) for name, work in endless.items()]
            tasks.append(group.create_task(self._listen(radio)))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()

    async def _listen(self, radio: ThreadPoolExecutor) -> None:
        """Listen once the cell is known, after a first attempt to hear of a newer model."""
        patience_s = self._settings.sync_deadline_s if self._convergence.assigned.is_set() else None
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._convergence.attempted.wait()
        await self._convergence.assigned.wait()
        try:
            await self._loop.run_in_executor(radio, self._listener.run)
        except BandwatchError as error:
            self._fault = error
            self.stop()
            return
        _log.info("the source has ended", source=self._source.receiver.description)
        if self._settings.exit_at_end:
            await self._delivery.wait_until_delivered()
            await self._convergence.say_goodbye()
            self.stop()

    async def _write_status_at_times(self) -> None:
        await self._write_status("running")
        await asyncio.sleep(self._settings.status_interval_s)

    async def _write_status(self, state: str) -> None:
        refusals = await asyncio.to_thread(self._spool.refusals)
        quarantine = [RefusedItem(sequence=s, code=c, reason=r) for s, c, r in refusals[-_SHOWN_REFUSALS:]]
        write_status(self._settings.data_dir, self._status(state, quarantine))

    def _navigator(self) -> Navigator | None:
        if self._source.positions is None:
            return None
        return Navigator(
            self._source.positions,
            Border(self._settings.border_margin_m, self._settings.border_time_s),
            moves=self._source.mobility != "static",
            on_moved=self._moved,
        )

    def _moved(self, position: Position) -> None:
        """Called by the radio side's thread."""
        self._loop.call_soon_threadsafe(self._convergence.moved, position)

    def _set_up(self, plan: Plan) -> None:
        self._listener.plan = plan
        desired = self._convergence.desired
        self._delivery.budget.allow(desired.upload_budget_bytes if desired else 0)

    def _heed(self, orders: Orders) -> None:
        self._delivery.allow(orders.upload_credit_bytes)
        self._keeper.note_clock(orders.clock_off_s)

    def _wake(self) -> None:
        """Called by the radio side's thread."""
        self._loop.call_soon_threadsafe(self._delivery.wake)

    def _report(self) -> Report:
        totals, counts, in_force = self._spool.totals, self._listener.counts, self._convergence.in_force
        model, shadow = in_force.model if in_force else None, self._convergence.lineup.shadow
        position = self._convergence.position
        return Report(
            agent_version=VERSION,
            applied_revision=self._convergence.applied_revision,
            running_serial=model.serial if model else 0,
            running_model=model.name if model else "",
            refused=self._convergence.refusals,
            spooled_segments=totals.held_segments,
            spooled_bytes=totals.held_bytes,
            windows_scored=counts.windows_scored,
            anomalies_found=counts.anomalies_found,
            cell=self._convergence.cell or "",
            fix=position.fix if position else None,
            shadow_serial=shadow.model.serial if shadow else 0,
            running_since_at=in_force.since_at if in_force else None,
            rung=rung_of(band=model.manifest.band, cell=model.manifest.cell) if model else None,
            uploaded_today_bytes=self._delivery.budget.used_bytes,
            upload_budget_bytes=self._delivery.budget.limit_bytes,
        )

    def _status(self, state: str, quarantine: list[RefusedItem]) -> AgentStatus:
        report, totals, desired = self._report(), self._spool.totals, self._convergence.desired
        here = desired.within(report.cell) if desired else None
        return AgentStatus(
            written_at=datetime.now(UTC),
            state=state,
            agent_version=VERSION,
            observer=self._uplink.identity.name,
            coordinator=self._uplink.address,
            last_sync_at=self._convergence.last_sync_at,
            source=self._source.receiver.description,
            fault=self._listener.fault,
            cell=report.cell or None,
            home_cell=desired.cell if desired else None,
            band=here.band if here else None,
            latitude_deg=report.fix.latitude_deg if report.fix else None,
            longitude_deg=report.fix.longitude_deg if report.fix else None,
            applied_revision=report.applied_revision,
            running_model=report.running_model or None,
            running_serial=report.running_serial,
            running_rung=report.rung,
            shadow_serial=report.shadow_serial,
            cells_ready=self._convergence.lineup.ready,
            refused=[RefusedRelease(serial=r.serial, code=r.code, reason=r.reason) for r in report.refused],
            windows_scored=report.windows_scored,
            anomalies_found=report.anomalies_found,
            lost_samples=self._listener.counts.lost_samples,
            not_kept=self._keeper.not_kept,
            spool_boot_id=totals.boot_id,
            spool_made=totals.made,
            spool_segments=totals.held_segments,
            spool_anomalies=totals.held_anomalies,
            spool_events=totals.held_events,
            spool_statistics=totals.held_statistics,
            spool_bytes=totals.held_bytes,
            spool_acknowledged=totals.acknowledged,
            spool_evicted=totals.evicted,
            spool_refused=totals.refused,
            quarantine=quarantine,
            spool_damaged=totals.damaged,
            training_s=self._spool.training_frames(here.cell) * FRAME_SECONDS if here else 0.0,
            uploaded_today_bytes=report.uploaded_today_bytes,
            upload_budget_bytes=report.upload_budget_bytes,
        )
