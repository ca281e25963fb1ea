"""bandwatch up."""

import shlex
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bandwatch.errors import FailedPreconditionError, UnavailableError
from infra.local.options import DEFAULT_PORT, StackOptions

if TYPE_CHECKING:
    from infra.local.stack import LocalStack

_FIRST_OBSERVER: Final = """\
  bandwatch bands create b5 --center-mhz 881.5
  bandwatch cells create oak-street --band b5
  bandwatch observers create roof-1 --cell oak-street --mobility static --trusted --token-out roof-1.token
  bandwatch-agent enroll --coordinator {address} --token-file roof-1.token --data-dir roof-1
"""


def up(
    data_dir: Annotated[Path, typer.Option(help="Folder for keys, database, blobs and logs.")] = Path("bandwatch-data"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the coordinator listens; 0 takes any free port.")
    ] = DEFAULT_PORT,
    database_url: Annotated[
        str | None, typer.Option(envvar="DATABASE_URL", help="PostgreSQL to use instead of starting one.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="REDIS_URL", help="Redis to use instead of starting one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Training workers to start.")] = 1,
) -> None:
    """Run the whole platform on this machine until Ctrl-C.

    Starts PostgreSQL, Redis, the coordinator, its schedule and training workers; what dies is started again.

    Example: bandwatch up --data-dir ~/bandwatch --workers 2
    """
    stack = _stack(StackOptions(data_dir, port, database_url, redis_url, workers))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # An event may not be set by the thread that a signal interrupted: it may hold the lock of that event.
        signal.signal(number, lambda _number, _frame: threading.Thread(target=stop.set).start())
    try:
        stack.start(stop)
        if not stop.is_set():
            _say(_welcome(stack))
        stack.watch(stop)
    except UnavailableError:
        # A terminal's Ctrl-C also reaches what was just being set up; that it failed then is no news.
        if not stop.is_set():
            raise
    finally:
        stack.stop()
    _say("Everything is stopped.")


def _say(line: str) -> None:
    # Programs must be stopped though the terminal is gone.
    with suppress(OSError):
        typer.echo(line)


def _stack(options: StackOptions) -> "LocalStack":
    try:
        from infra.local.stack import LocalStack  # noqa: PLC0415 - needs packages that other commands do without
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"`bandwatch up` needs the package {error.name}: install it with pip install 'bandwatch[local]'"
        ) from error
    return LocalStack(options, _say)


def _welcome(stack: "LocalStack") -> str:
    token_file = shlex.quote(str(stack.folder.operator_token_file))
    return f"""
Bandwatch runs at {stack.address}. Ctrl-C stops it.
  logs          {stack.folder.logs}
  authorities   {stack.folder.authorities_file}

To describe a first observer, in another terminal:
  export BANDWATCH_COORDINATOR={stack.address} BANDWATCH_OPERATOR_TOKEN_FILE={token_file}
{_FIRST_OBSERVER.format(address=stack.address)}"""
