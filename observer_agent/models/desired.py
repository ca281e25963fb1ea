"""What the coordinator wants this agent to be, kept so that the agent starts without it."""

from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.spectrogram.bands import Band
from observer_agent.spool.files import write_durably


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class AssignedRelease(_Frozen):
    """A release to run: its serial, and the blob of its signed manifest."""

    serial: Annotated[int, Field(gt=0)]
    manifest: BlobReference


class DesiredState(_Frozen):
    """The whole desired state at one revision; `cell` and `band` are full names."""

    revision: int
    cell: str
    band: str
    center_hz: Annotated[float, Field(gt=0)]
    width_hz: Annotated[float, Field(gt=0)]
    release: AssignedRelease | None = None
    training_target_s: Annotated[float, Field(ge=0)]

    @property
    def spectrum(self) -> Band:
        """The slice of spectrum to watch."""
        return Band(self.center_hz, self.width_hz)


def save_desired(path: Path, desired: DesiredState) -> None:
    """Keep the desired state for the next start."""
    write_durably(path, desired.model_dump_json().encode())


def load_desired(path: Path) -> DesiredState | None:
    """Return the desired state of the last run, or None when there is none that can be read."""
    try:
        return DesiredState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        structlog.stdlib.get_logger().warning(
            "the kept desired state cannot be read; waiting for another", fault=str(error)
        )
        return None
