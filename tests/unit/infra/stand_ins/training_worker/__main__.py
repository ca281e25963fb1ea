"""Runs until it is asked to end."""

import os
import signal

print(f"working for {os.environ['BANDWATCH_WORKER_COORDINATOR']}")  # noqa: T201 - a log to be looked at
signal.sigwait([signal.SIGTERM])
