"""Keeps the worker's certificate good. Nobody tells a worker of new authorities, so it renews every day."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from bandwatch.errors import BandwatchError
from bandwatch.identity.certificates import made_at, renewal_at
from bandwatch.identity.identity_files import save_renewed
from training_worker.coordinator_client import TrainingClient

RENEWED_EVERY: Final = timedelta(days=1)
_LOOK_S: Final = 600.0

_log = structlog.get_logger()


def keep_certificate_good(client: TrainingClient, folder: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Renew whenever it is due, for as long as the process lives."""
    while True:
        pause(_LOOK_S)
        renew_if_due(client, folder)


def renew_if_due(client: TrainingClient, folder: Path) -> bool:
    """Renew the certificate if it is a day old or has a third of its time left, and return whether it was renewed."""
    certificate = client.identity.own_certificate
    due_at = min(renewal_at(certificate), made_at(certificate) + RENEWED_EVERY)
    if datetime.now(UTC) < due_at:
        return False
    try:
        renewed = client.ask_for_renewal()
        save_renewed(folder, renewed)
    except (BandwatchError, OSError) as error:
        _log.warning("the certificate was not renewed; trying again", reason=str(error))
        return False
    client.go_on_as(renewed)
    _log.info("the certificate was renewed", good_until=renewed.good_until)
    return True
