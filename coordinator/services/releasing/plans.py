"""How a release comes into force: which stages it goes through, and what each asks of it."""

from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import Any, Self


@dataclass(frozen=True)
class RolloutPlan:
    """Stages and limits. A figure of zero stands for the coordinator's usual one; see `filled`."""

    at_once: bool = False
    shadow: bool = False
    few_in_shadow: bool = True
    """Whether a release whose canaries are too few for statistics runs in shadow first; the coordinator says so."""
    canary_share: float = 0.0
    minimum_windows: int = 0
    minimum_time_s: float = 0.0
    deadline_s: float = 0.0
    failure_limit: float = 0.0
    error_margin_db: float = 0.0
    false_alarm_limit: float = 0.0

    def filled(self, usual: "RolloutPlan") -> "RolloutPlan":
        """Return this plan with every figure that it leaves open taken from the usual one."""
        open_figures = {
            field.name: getattr(usual, field.name)
            for field in fields(self)
            if not isinstance(getattr(self, field.name), bool) and not getattr(self, field.name)
        }
        return replace(self, shadow=self.shadow or usual.shadow, few_in_shadow=usual.few_in_shadow, **open_figures)

    @property
    def minimum_time(self) -> timedelta:
        """Least time in shadow or as a canary."""
        return timedelta(seconds=self.minimum_time_s)

    @property
    def deadline(self) -> timedelta:
        """Most time in shadow or as a canary."""
        return timedelta(seconds=self.deadline_s)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the registry keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """Read a plan that the registry kept; what this version does not know is left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known})
