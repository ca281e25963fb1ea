"""The audit log: refused calls on their way in, and everything on its way out."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.callers import Caller
from coordinator.registry.identities import AuditEntry
from coordinator.services.paging import Page, PageRequest, read_page


def note_refusal(session: AsyncSession, caller: Caller, refusal: str, after: dict[str, Any]) -> None:
    """Write down a call that was refused."""
    session.add(
        AuditEntry(actor=caller.name, action=caller.action, subject="", refusal=refusal, after=after, peer=caller.peer)
    )


async def list_entries(
    session: AsyncSession, page: PageRequest, *, actor: str, subject: str, refusals_only: bool
) -> Page[AuditEntry]:
    """List entries, newest first; filters that are empty leave everything in."""
    query = select(AuditEntry)
    if actor:
        query = query.where(AuditEntry.actor == actor)
    if subject:
        query = query.where(AuditEntry.subject == subject)
    if refusals_only:
        query = query.where(AuditEntry.refusal != "")
    return await read_page(session, query, [AuditEntry.id], page, newest_first=True)
