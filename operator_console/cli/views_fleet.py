"""What observers are to be beside what they say that they are."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1.admin_service_pb2 import Observer
from bandwatch.wire.v1.model_pb2 import Release
from operator_console.cli.output import View
from operator_console.cli.texts import moment

_SILENT_AFTER: Final = timedelta(minutes=3)


def differences(observer: Observer, now: datetime) -> list[str]:
    """Return in what an observer is not what it is to be."""
    if not observer.HasField("last_sync_time"):
        return ["was never heard of"]
    found = []
    if now - to_moment(observer.last_sync_time) > _SILENT_AFTER:
        found.append("is silent")
    if observer.reported.running_serial != observer.desired_serial:
        found.append(_other_release(observer))
    elif observer.reported.applied_revision != observer.revision:
        found.append(f"is at revision {observer.reported.applied_revision} of {observer.revision}")
    return found


def _other_release(observer: Observer) -> str:
    refused = next((one for one in observer.reported.refused if one.serial == observer.desired_serial), None)
    if refused is not None:
        return f"refuses {_release(observer.desired_serial)}: {refused.code} ({refused.reason})"
    return f"runs {_release(observer.reported.running_serial)}"


def _release(serial: int) -> str:
    return f"releases/{serial}" if serial else "nothing"


def fleet_view(releases: Mapping[int, Release], now: datetime) -> View[Observer]:
    """Return how observers are shown; `releases` are those that they are to run, by serial."""

    def since(observer: Observer) -> str:
        found = differences(observer, now)
        if not found:
            return ""
        if "is silent" in found:
            return moment(observer.last_sync_time)
        release = releases.get(observer.desired_serial)
        times = [observer.create_time, *([release.state_time] if release else [])]
        return moment(max(times, key=to_moment))

    return View(
        columns={
            "observer": lambda observer: observer.name,
            "cell": lambda observer: observer.reported.cell or observer.cell,
            "is to run": lambda observer: _release(observer.desired_serial),
            "runs": lambda observer: _release(observer.reported.running_serial),
            "in shadow": lambda observer: (
                _release(observer.reported.shadow_serial) if observer.reported.shadow_serial else ""
            ),
            "differs": lambda observer: "; ".join(differences(observer, now)),
            "since": since,
            "last heard": lambda observer: moment(observer.last_sync_time),
        },
        details={},
    )
