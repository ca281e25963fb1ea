"""The part of an agent that brings what its spool holds to a coordinator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bandwatch.identity.identity_files import Identity
from observer_agent.agent.delivery import Delivery
from observer_agent.agent.retry import keep_doing
from observer_agent.settings import AgentSettings
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.spooled import make_segment

FRAMES: Final = 500
CREDIT_BYTES: Final = 1_000_000


def open_spool(folder: Path) -> Spool:
    """Open a spool with room enough."""
    return Spool(folder, limit_bytes=10**9, quarantine_limit_bytes=10**7)


def fill(spool: Spool, seeds: range) -> None:
    """Put segments of cell oak into a spool, one for each seed."""
    for seed in seeds:
        record, codes = make_segment(seed, frames=FRAMES, cell="cells/oak")
        at = datetime.now(UTC) - timedelta(minutes=10) + timedelta(seconds=seed)
        changes = {"start_at": at, "scored_by_serial": 0, "anomalous_windows": 0}
        spool.put_segment(record.model_copy(update=changes), codes)


@asynccontextmanager
async def delivering(spool: Spool, identity: Identity, folder: Path) -> AsyncIterator[Delivery]:
    """Deliver what a spool holds until the block ends."""
    (folder / "cell.json").write_text("{}")
    settings = AgentSettings.from_options(
        {"data_dir": folder, "simulate": folder / "cell.json", "answer_deadline_s": 5.0, "retry_cap_s": 0.5}
    )
    async with Uplink(settings, identity) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(CREDIT_BYTES)
        task = asyncio.create_task(keep_doing("upload", delivery.upload, settings))
        try:
            yield delivery
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
