"""Who acts at present: set by the edge, read where a change is written down."""

import enum
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from bandwatch import names


class Role(enum.StrEnum):
    """What a caller is. Operators are ordered: an admin may do what an operator may, an operator what a viewer may."""

    NEWCOMER = "newcomer"
    MEMBER = "member"
    OBSERVER = "observer"
    WORKER = "worker"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_INCLUDED: Final = {
    Role.OBSERVER: {Role.OBSERVER, Role.MEMBER},
    Role.WORKER: {Role.WORKER, Role.MEMBER},
    Role.VIEWER: {Role.VIEWER},
    Role.OPERATOR: {Role.OPERATOR, Role.VIEWER},
    Role.ADMIN: {Role.ADMIN, Role.OPERATOR, Role.VIEWER},
}


@dataclass(frozen=True)
class Caller:
    """Who calls what: `name` such as operators/alice, `action` such as CreateRelease."""

    role: Role
    name: str
    action: str
    key: str = ""
    """The serial of a member's certificate, or the identifier of an operator."""
    peer: str = ""
    """Address that it calls from."""

    @property
    def observer_id(self) -> str:
        """The identifier of an observer; empty for others."""
        return names.observers.id(self.name) if self.role is Role.OBSERVER else ""

    def may_act_as(self, role: Role) -> bool:
        """Tell whether a method for that role serves this caller."""
        return role is Role.NEWCOMER or role in _INCLUDED.get(self.role, set())


NOBODY: Final = "nobody"
SCHEDULE: Final = Caller(Role.ADMIN, "schedule", "sweep")
"""What the schedule does by itself."""

current_caller: ContextVar[Caller] = ContextVar("current_caller")


def host_caller(command: str) -> Caller:
    """Return the caller that stands for a command given on the coordinator's own host."""
    return Caller(Role.ADMIN, "host", command)
