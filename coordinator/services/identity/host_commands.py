"""What is done on the coordinator's own host, by whoever may read its keys and its database."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from bandwatch.identity.keyring import begin_exchange, finish_exchange, load_keyring
from bandwatch.identity.private_files import write_private
from coordinator.registry.callers import Role, current_caller, host_caller
from coordinator.registry.session import Registry
from coordinator.services.identity import certificates, join_tokens, operators
from coordinator.settings import CoordinatorSettings


@asynccontextmanager
async def _acting(settings: CoordinatorSettings, command: str) -> AsyncIterator[AsyncSession]:
    """Give one transaction for a command, which the audit log will name."""
    current_caller.set(host_caller(command))
    registry = Registry(settings.sqlalchemy_url(), connections=1)
    try:
        async with registry.transaction() as session:
            yield session
    finally:
        await registry.close()


async def make_operator(settings: CoordinatorSettings, operator_id: str, role: Role, token_file: Path) -> None:
    """Make an operator whose token is in a file; a token that is there already is taken as it is.

    Raises:
        InvalidArgumentError: The file holds something that cannot be a token.
    """
    held = _held_token(token_file)
    token = held or secrets.token_urlsafe(32)
    async with _acting(settings, "make-operator") as session:
        await operators.put(session, operator_id, role, token)
        if held is None:
            write_private(token_file, token.encode() + b"\n")


def _held_token(token_file: Path) -> str | None:
    if token_file.exists():
        return token_file.read_text().strip()
    token_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return None


async def make_join_token(
    settings: CoordinatorSettings, role: Role, member: str, cell_id: str | None, *, trusted: bool
) -> str:
    """Make a join token and return its text.

    Raises:
        InvalidArgumentError: Nobody enrols in that role.
        FailedPreconditionError: See `join_tokens.create`.
    """
    if role not in join_tokens.COLLECTION_OF:
        raise InvalidArgumentError(f"only observers and workers enrol, not {role.value}s")
    authorities = load_keyring(settings.keys_dir).authorities
    async with _acting(settings, "make-join-token") as session:
        _, text = await join_tokens.create(session, authorities, role, member=member, cell_id=cell_id, trusted=trusted)
    return text


def begin_rotation(settings: CoordinatorSettings) -> None:
    """Make the next authority; members hear of it and renew by themselves.

    Raises:
        FailedPreconditionError: An exchange is under way.
    """
    begin_exchange(settings.keys_dir)


async def finish_rotation(settings: CoordinatorSettings, *, force: bool) -> Sequence[str]:
    """Trust the next authority only, and return whom that cuts off.

    Raises:
        FailedPreconditionError: No exchange is under way, or it would cut somebody off and need not.
    """
    keyring = load_keyring(settings.keys_dir)
    async with _acting(settings, "rotate-authority") as session:
        cut_off = await certificates.unprepared(session, keyring.for_members.digest)
    if cut_off and keyring.next is not None and not force:
        raise FailedPreconditionError(
            f"these have not renewed yet and would be cut off: {', '.join(cut_off)}; wait for them, or revoke them, or "
            "add --force"
        )
    finish_exchange(settings.keys_dir)
    return cut_off
