"""Why one item of many is not accepted: an answer, not an error, since the rest goes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """A stable code and a sentence; sending the same item again will not help."""

    code: str
    reason: str
