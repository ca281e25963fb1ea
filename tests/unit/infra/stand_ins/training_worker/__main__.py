"""Enrols at once, and runs until it is asked to end."""

import os
import signal
import sys

print(f"{' '.join(sys.argv[1:])}: working in {os.environ['BANDWATCH_WORKER_DATA_DIR']}")  # noqa: T201 - a log to be looked at
if sys.argv[1] == "run":
    signal.sigwait([signal.SIGTERM])
