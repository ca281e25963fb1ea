"""Where a token goes that is shown once: into a new file, or to the screen."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bandwatch.errors import AlreadyExistsError, PermissionDeniedError

TokenOut = Annotated[Path | None, typer.Option(help="New file for the token; without it the token is printed.")]


@contextmanager
def place_for_token(file: Path | None) -> Iterator[Callable[[str], dict[str, str]]]:
    """Give a function that keeps a token and says where. The file is made first: a token without a place is lost."""
    if file is None:
        yield lambda token: {"token": token}
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise AlreadyExistsError(f"{file} exists already; choose another file for the token") from error
    except OSError as error:
        raise PermissionDeniedError(f"{file} cannot be made for the token: {error.strerror}") from error

    def keep(token: str) -> dict[str, str]:
        os.write(descriptor, token.encode())
        return {"token_file": str(file)}

    try:
        yield keep
    except BaseException:
        if not os.fstat(descriptor).st_size:
            file.unlink()
        raise
    finally:
        os.close(descriptor)
