"""The whole platform on one machine: database, broker, coordinator, schedule and training workers."""

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from bandwatch.errors import FailedPreconditionError, UnavailableError
from infra.local.child import Child, Program
from infra.local.data_folder import DataFolder
from infra.local.options import StackOptions
from infra.local.ports import LARGEST_PORT, LOOPBACK, claim_port
from infra.local.postgres import LocalPostgres
from infra.local.programs import Addresses, coordinator_programs, worker_programs
from infra.local.record import StackRecord
from infra.local.redis_server import redis_answers, redis_program
from infra.local.supervisor import Supervisor

_NEVER: Final = threading.Event()


class LocalStack:
    """Runs everything from one data folder; as a context manager it starts on entry and stops on exit.

    Programs are called postgres, redis, coordinator, schedule, worker-1, worker-2 and so on. One that dies is
    restarted only while some thread is in `watch`.
    """

    def __init__(self, options: StackOptions, announce: Callable[[str], None] = lambda _line: None) -> None:
        self.options = options
        self.folder = DataFolder(options.data_dir)
        self.data_dir = self.folder.root
        self.release_root_file = self.folder.release_root_file
        self._announce = announce
        self._supervisor = Supervisor(self.folder.logs, announce, self._write_record)
        self._postgres = LocalPostgres(self.folder.postgres)
        self._folder_lock: int | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """Where the coordinator listens, such as 127.0.0.1:50051; known once started."""
        return self._address

    @property
    def operator_token(self) -> str:
        """The token that lets its holder administer the platform."""
        return self.folder.operator_token_file.read_text().strip()

    @property
    def authorities(self) -> bytes:
        """The authorities by which the coordinator is known."""
        return self.folder.authorities_file.read_bytes()

    def start(self, stop: threading.Event = _NEVER) -> None:
        """Start every program and wait until each is healthy. Returns early when stop is set; `stop` is due either way.

        Raises:
            FailedPreconditionError: The port is taken, or a stack runs from this folder.
            UnavailableError: A program did not start.
        """
        self._take_folder()
        self._end_leftovers()
        self.folder.prepare()
        self._address = f"{LOOPBACK}:{claim_port(self.options.port)}"
        database_url = self._start_postgres(stop)
        redis_url = self._start_redis(stop)
        addresses = Addresses(self._address, f"{LOOPBACK}:{self._member_port()}")
        programs = coordinator_programs(self.folder, addresses, database_url, redis_url)
        self._run("bringing the database up to date", (programs.migrate, programs.make_operator), stop)
        for program in (programs.serve, programs.schedule):
            self._start(program, stop)
        for number in range(1, self.options.workers + 1):
            worker = worker_programs(self.folder, number, self._address, redis_url, programs.environment)
            self._run(f"letting {worker.run.name} in", (worker.invite, worker.enroll), stop)
            self._start(worker.run, stop)

    def _member_port(self) -> int:
        """Return the port after the one for operators, so that agents find their coordinator again."""
        return claim_port(self.options.port + 1 if 0 < self.options.port < LARGEST_PORT else 0)

    def _run(self, what: str, programs: Iterable[Program], stop: threading.Event) -> None:
        if not stop.is_set():
            self._announce(what)
        for program in programs:
            if not stop.is_set():
                self._supervisor.run_to_end(program, stop)

    def watch(self, stop: threading.Event) -> None:
        """Restart programs that die until stop is set.

        Raises:
            UnavailableError: A program died 5 times within a minute.
        """
        self._supervisor.watch(stop)

    def stop(self) -> None:
        """Stop every program, the latest one first. Nothing is left running; doing it twice is harmless."""
        if self._folder_lock is None:
            return
        self._supervisor.stop()
        self._postgres.clean_up()
        StackRecord.remove(self.data_dir)
        os.close(self._folder_lock)
        self._folder_lock = None

    def process(self, name: str) -> Child:
        """Return a running program by its name.

        Raises:
            NotFoundError: This stack started no such program.
        """
        return self._supervisor.child(name)

    def restart(self, name: str) -> None:
        """Stop a program, start it again and wait until it is healthy.

        Raises:
            NotFoundError: This stack started no such program.
            UnavailableError: It did not come back.
        """
        self._supervisor.restart(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a program.

        Raises:
            NotFoundError: This stack started no such program.
        """
        self._supervisor.child(name).send(number)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_folder(self) -> None:
        # The kernel gives the lock back however this process ends.
        self.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.data_dir, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            record = StackRecord.read(self.data_dir)
            where = f" (process {record.supervisor_pid}, at {record.address})" if record else ""
            raise FailedPreconditionError(
                f"a stack runs from {self.data_dir} already{where}; stop it, or choose another folder with --data-dir"
            ) from error
        self._folder_lock = descriptor

    def _end_leftovers(self) -> None:
        record = StackRecord.read(self.data_dir)
        ended = record.end_leftovers() if record else []
        if ended:
            self._announce(f"ended what an earlier run had left behind: {', '.join(ended)}")

    def _start(self, program: Program, stop: threading.Event) -> None:
        if not stop.is_set():
            self._announce(f"starting {program.name}")
            self._supervisor.start(program, stop)

    def _start_postgres(self, stop: threading.Event) -> str:
        if self.options.database_url is None:
            self._announce("preparing the database")
            self._start(self._postgres.prepare(), stop)
            return self._postgres.url
        self._announce(f"using the PostgreSQL at {_place(self.options.database_url)}")
        return self.options.database_url

    def _start_redis(self, stop: threading.Event) -> str:
        if self.options.redis_url is None:
            program, url = redis_program(self.folder.redis)
            self._start(program, stop)
            return url
        place = _place(self.options.redis_url)
        if not redis_answers(self.options.redis_url):
            raise UnavailableError(f"no Redis answers at {place}; start it, then try again")
        self._announce(f"using the Redis at {place}")
        return self.options.redis_url

    def _write_record(self) -> None:
        pids = {child.name: child.pid for child in self._supervisor.children}
        StackRecord.of(self.address, os.getpid(), pids).write(self.data_dir)


def _place(url: str) -> str:
    """Return the host and port of a URL, without the password beside them."""
    return urlsplit(url).netloc.rpartition("@")[2] or "a Unix socket"
