"""Resource names such as cells/oak-street: parsed and printed only here."""

import re
from dataclasses import dataclass
from typing import Final

from bandwatch.errors import InvalidArgumentError

_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SEGMENT: Final = re.compile(r"segments/([a-z0-9-]{1,63})\.([0-9a-f]{32})\.([1-9][0-9]{0,18})")


@dataclass(frozen=True)
class Collection:
    """One kind of resource: `bands.name("b1")` is "bands/b1", and `bands.id("bands/b1")` is "b1"."""

    word: str

    def name(self, resource_id: str) -> str:
        """Return the full name of the resource with that identifier.

        Raises:
            InvalidArgumentError: The identifier is not 1 to 63 lower-case letters, digits and inner hyphens.
        """
        if not _ID.fullmatch(resource_id):
            raise InvalidArgumentError(
                f"{resource_id!r} cannot name one of the {self.word}: "
                "use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
            )
        return f"{self.word}/{resource_id}"

    def id(self, name: str) -> str:
        """Return the identifier inside a full name.

        Raises:
            InvalidArgumentError: The text is no name of this collection.
        """
        word, slash, resource_id = name.partition("/")
        if word != self.word or not slash or not _ID.fullmatch(resource_id):
            raise InvalidArgumentError(f"{name!r} is no name of one of the {self.word}: write {self.word}/IDENTIFIER")
        return resource_id


bands: Final = Collection("bands")
cells: Final = Collection("cells")
observers: Final = Collection("observers")
models: Final = Collection("models")
releases: Final = Collection("releases")
runs: Final = Collection("runs")
workers: Final = Collection("workers")
operators: Final = Collection("operators")
join_tokens: Final = Collection("joinTokens")
incidents: Final = Collection("incidents")
mutes: Final = Collection("mutes")
webhooks: Final = Collection("webhooks")
deliveries: Final = Collection("deliveries")
self_tests: Final = Collection("selfTests")
policies: Final = Collection("policies")


def segment_name(observer_id: str, boot_id: str, sequence: int) -> str:
    """Return the name of a segment, which is who made it and its number."""
    return f"segments/{observer_id}.{boot_id}.{sequence}"


def segment_key(name: str) -> tuple[str, str, int]:
    """Return who made a segment, the boot and the number inside its name.

    Raises:
        InvalidArgumentError: The text is no name of a segment.
    """
    parts = _SEGMENT.fullmatch(name)
    if parts is None:
        raise InvalidArgumentError(f"{name!r} is no name of a segment: write segments/OBSERVER.BOOT.NUMBER")
    return parts[1], parts[2], int(parts[3])


def anomaly_name(observer_id: str, boot_id: str, sequence: int) -> str:
    """Return the name of an anomaly, which is who reported it and its number."""
    return f"anomalies/{observer_id}.{boot_id}.{sequence}"
