"""How many streams one observer may hold open: one that asks for more is refused, and harms nobody else."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bandwatch.errors import UnavailableError

STREAMS_PER_OBSERVER: Final = {"Watch": 4, "UploadSegments": 4, "FetchBlob": 8}
"""More than an agent needs, since streams of a broken connection stay open until keep-alive notices."""


class Turnstile:
    """Counts the open streams of each observer."""

    def __init__(self) -> None:
        self._inside: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def entered(self, observer_id: str, method: str) -> Iterator[None]:
        """Hold one of the observer's places while the block runs.

        Raises:
            UnavailableError: All of them are taken.
        """
        place = (observer_id, method)
        limit = STREAMS_PER_OBSERVER[method]
        if self._inside[place] >= limit:
            raise UnavailableError(f"{limit} streams of {method} are open for this observer already; close one first")
        self._inside[place] += 1
        try:
            yield
        finally:
            self._inside[place] -= 1
            if not self._inside[place]:
                del self._inside[place]
