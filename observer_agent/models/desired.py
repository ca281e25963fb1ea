"""What the coordinator wants this agent to be, kept so that the agent starts without it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.spectrogram.bands import Band
from observer_agent.places.place_finder import Place
from observer_agent.spool.files import write_durably

GLOBAL_SCOPE: Final = "global"
"""Where the serials of the global release count; those of others count in their cell or band."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class AssignedRelease(_Frozen):
    """A release to run: its serial, and the blob of its signed manifest."""

    serial: Annotated[int, Field(gt=0)]
    manifest: BlobReference


class CellAssignment(_Frozen):
    """A cell that the observer may come to, where it serves, and what is to run there.

    `cell` and `band` are full names. `teacher` serves where `release`, the student, cannot.
    """

    cell: str
    band: str
    center_hz: Annotated[float, Field(gt=0)]
    width_hz: Annotated[float, Field(gt=0)]
    place: Place | None = None
    release: AssignedRelease | None = None
    teacher: AssignedRelease | None = None


class CaptureOrder(_Frozen):
    """Frames of a cell that are wanted beyond the training target, until a moment. It is carried out once."""

    order: Annotated[str, Field(min_length=1, max_length=100)]
    cell: str
    duration_s: Annotated[float, Field(ge=0)]
    expires_at: AwareDatetime


class SelfTestOrder(_Frozen):
    """A self-test to carry out once, unless it has expired; `name` is its full name."""

    name: Annotated[str, Field(pattern="^selfTests/")]
    expires_at: AwareDatetime


@dataclass(frozen=True)
class LadderStep:
    """A release that may serve a cell, and the scope in which its serial must be newer than any before."""

    release: AssignedRelease
    scope: str


class DesiredState(CellAssignment):
    """The whole desired state at one revision: the observer's own cell, and those it may come to, nearest first.

    `shadow` is to run beside the release in force of the own cell. `global_release` serves where nothing else does.
    """

    revision: int
    training_target_s: Annotated[float, Field(ge=0)]
    shadow: AssignedRelease | None = None
    neighbours: tuple[CellAssignment, ...] = ()
    global_release: AssignedRelease | None = None
    capture: CaptureOrder | None = None
    self_test: SelfTestOrder | None = None
    upload_budget_bytes: Annotated[int, Field(ge=0)] = 0

    @property
    def spectrum(self) -> Band:
        """The slice of spectrum to watch."""
        return Band(self.center_hz, self.width_hz)

    @property
    def cells(self) -> tuple[str, ...]:
        """The own cell, and those that the observer may come to."""
        return (self.cell, *(neighbour.cell for neighbour in self.neighbours))

    @property
    def places(self) -> dict[str, Place]:
        """Where cells serve, of those that say so."""
        return {known.cell: known.place for known in (self, *self.neighbours) if known.place is not None}

    @property
    def ladder(self) -> tuple[LadderStep, ...]:
        """What may serve the cell, best first: its student, its band's teacher, the global teacher."""
        steps = (
            (self.release, self.cell),
            (self.teacher, self.band),
            (self.global_release, GLOBAL_SCOPE),
        )
        found: dict[AssignedRelease, str] = {}
        for release, scope in steps:
            if release is not None:
                found.setdefault(release, scope)
        return tuple(LadderStep(release, scope) for release, scope in found.items())

    def within(self, cell: str) -> "DesiredState | None":
        """Return this state as it holds in one of its cells; None for a cell that it does not know."""
        if cell == self.cell:
            return self
        for neighbour in self.neighbours:
            if neighbour.cell == cell:
                return self.model_copy(update={**dict(neighbour), "shadow": None, "neighbours": ()})
        return None


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
