"""How simulated observers join: each with a one-time token, once; their identities stay in their folders."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.identity.identity_files import Identity, load_identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.wire.enrollment import enroll

_AT_ONCE: Final = 8
_NAMED: Final = 3


def read_tokens(path: Path) -> list[JoinToken]:
    """Return the join tokens in a file, one a line, or in all files of a folder.

    Raises:
        NotFoundError: It cannot be read.
        InvalidArgumentError: A line is no token.
    """
    try:
        files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        lines = [(file, line) for file in files for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"the join tokens in {path} cannot be read: {error}") from error
    tokens = []
    for file, line in lines:
        try:
            tokens.append(JoinToken.from_text(line))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{file}: {error.message}") from error
    return tokens


async def obtain_identities(
    observers: Sequence[str],
    folder_of: Callable[[str], Path],
    tokens: Sequence[JoinToken],
    coordinator: str,
    tell: Callable[[str], None],
) -> dict[str, Identity]:
    """Return the identity of every observer, by its full name; those without one enrol, each with a token.

    A token for one name serves that name alone; one that leaves the name open serves whoever has none of its own.

    Raises:
        InvalidArgumentError: Some have neither an identity nor a token, or the coordinator's address is missing.
        UnauthenticatedError: A token is unknown, used or expired.
        UnavailableError: The coordinator cannot be reached.
    """
    identities: dict[str, Identity] = {}
    for observer in observers:
        try:
            identities[observer] = load_identity(folder_of(observer), "")
        except NotFoundError:
            continue
    newcomers = [observer for observer in observers if observer not in identities]
    if newcomers:
        given = _hand_out(newcomers, tokens)
        if not coordinator:
            raise InvalidArgumentError(
                f"{len(newcomers)} observers are to enrol: say where with --coordinator HOST:PORT"
            )
        tell(f"enrolling {len(newcomers)} observers")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def join(observer: str) -> None:
            async with gate:
                folder = folder_of(observer)
                identities[observer] = await asyncio.to_thread(enroll, coordinator, given[observer], observer, folder)

        await asyncio.gather(*(join(observer) for observer in newcomers))
    return identities


def _hand_out(newcomers: Sequence[str], tokens: Sequence[JoinToken]) -> dict[str, JoinToken]:
    own = {token.member: token for token in tokens if token.member}
    open_ones = iter([token for token in tokens if not token.member])
    given = {observer: own.get(observer) or next(open_ones, None) for observer in newcomers}
    without = [observer for observer, token in given.items() if token is None]
    if without:
        more = f" and {len(without) - _NAMED} more" if len(without) > _NAMED else ""
        raise InvalidArgumentError(
            f"{', '.join(without[:_NAMED])}{more} have neither an identity nor a join token: register them with the "
            "commands that --registration prints, and give their tokens with --tokens"
        )
    return {observer: token for observer, token in given.items() if token is not None}
