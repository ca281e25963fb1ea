"""Looks after one attempt: claims the run, starts a process for it, renews the lease, and says how it ended.

The training never runs in the process that talks to the broker: whatever happens to it, the worker lives.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from bandwatch.errors import BandwatchError, ConflictError, FailedPreconditionError, NotFoundError, UnavailableError
from training_worker.attempts import CLEAN_END, COORDINATOR_AWAY, LEASE_LOST, RETRY_IN_VAIN, STOPPED, to_json
from training_worker.coordinator_client import ClaimedRun, Lease, TrainingClient
from training_worker.settings import WorkerSettings
from training_worker.workspaces import log_of, workspace_of

RENEWALS_PER_LEASE: Final = 4
STOP_GRACE_S: Final = 5.0
EXIT_GRACE_S: Final = 5.0
"""Time that a process takes from its last word to its end."""
_LOOK_S: Final = 0.2
_LAST_WORDS: Final = 2000
"""Characters of an attempt's log that travel with its failure."""

_IDLE_THREADS_SLEEP: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Waiting threads of torch otherwise spin, and training takes ten times as long on a busy machine."""

_log = structlog.get_logger()


class Supervisor:
    """Makes attempts at runs until it is stopped."""

    def __init__(self, settings: WorkerSettings, client: TrainingClient) -> None:
        self._settings = settings
        self._client = client
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0
        self.taken = 0
        """How many messages came."""

    @property
    def has_room(self) -> bool:
        """Whether another attempt could be made now."""
        return self._busy < self._settings.concurrency and not self._stopping.is_set()

    def stop(self) -> None:
        """End the attempts in progress and give their runs back."""
        self._stopping.set()

    def train(self, run: str) -> None:
        """Make one attempt at a run, unless somebody else holds it, it has ended, or the worker is stopping."""
        with self._place():
            if not self._stopping.is_set():
                self._try(run)

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
            self.taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _try(self, run: str) -> None:
        try:
            claimed = self._client.claim(run)
        except (FailedPreconditionError, NotFoundError) as refusal:
            _log.info("nothing to do", run=run, reason=refusal.message)
            return
        except UnavailableError as error:
            _log.warning("coordinator away; the run will be announced again", run=run, reason=error.message)
            return
        _log.info("attempt begins", run=run, fence=claimed.lease.fence)
        code = self._attempt(claimed)
        _log.info("attempt ended", run=run, fence=claimed.lease.fence, code=code)
        if code == CLEAN_END:
            shutil.rmtree(workspace_of(self._settings.data_dir, run))
        elif code == STOPPED:
            self._give_back(claimed.lease, "the worker was stopped", retryable=True, interrupted=True)
        elif code == COORDINATOR_AWAY:
            words = _last_words(self._log_file(claimed), code)
            self._give_back(claimed.lease, words, retryable=True, interrupted=True)
        elif code != LEASE_LOST:
            words = _last_words(self._log_file(claimed), code)
            self._give_back(claimed.lease, words, retryable=code != RETRY_IN_VAIN, interrupted=False)

    def _log_file(self, claimed: ClaimedRun) -> Path:
        return log_of(self._settings.data_dir, claimed.lease.run, claimed.lease.fence)

    def _attempt(self, claimed: ClaimedRun) -> int:
        command = [sys.executable, "-P", "-m", "training_worker", "execute"]
        with (
            self._log_file(claimed).open("wb") as output,
            subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                command,
                env={**_IDLE_THREADS_SLEEP, **os.environ},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            # The pipe stays open: the attempt ends itself when it closes, so a killed worker leaves nothing running.
            if process.stdin is not None:
                process.stdin.write(to_json(claimed).encode() + b"\n")
                process.stdin.flush()
            return self._watch(process, claimed)

    def _watch(self, process: "subprocess.Popen[bytes]", claimed: ClaimedRun) -> int:
        pause_s = claimed.lease_duration.total_seconds() / RENEWALS_PER_LEASE
        renew_at = time.monotonic() + pause_s
        while process.poll() is None:
            if self._stopping.wait(_LOOK_S):
                _end(process)
                return STOPPED
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + pause_s
                if not self._renewed(claimed.lease):
                    return _end_without_lease(process)
        return process.returncode

    def _renewed(self, lease: Lease) -> bool:
        try:
            self._client.renew(lease)
        except ConflictError as error:
            _log.warning("lease lost", run=lease.run, reason=error.message)
            return False
        except BandwatchError as error:
            _log.warning("lease not renewed; trying again", run=lease.run, reason=error.message)
        return True

    def _give_back(self, lease: Lease, words: str, *, retryable: bool, interrupted: bool) -> None:
        try:
            self._client.fail(lease, words, retryable=retryable, interrupted=interrupted)
        except BandwatchError as error:
            _log.warning("run not given back; its lease will run out", run=lease.run, reason=error.message)


def _end_without_lease(process: "subprocess.Popen[bytes]") -> int:
    """End an attempt that holds no lease, and return its exit code: a run that it has just finished has none either."""
    try:
        return process.wait(EXIT_GRACE_S)
    except subprocess.TimeoutExpired:
        _end(process)
        return LEASE_LOST


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(log: Path, code: int) -> str:
    tail = log.read_text(errors="replace").replace("\0", "").strip()[-_LAST_WORDS:]
    return tail or f"the attempt ended with code {code} and said nothing"
