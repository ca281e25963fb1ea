"""In which cell the observer is, block by block. Used by the radio side's thread; others read `position`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from bandwatch.geography import distance_m
from observer_agent.places.place_finder import Border, Place, Whereabouts, follow, heading_deg
from observer_agent.places.positions import Fix, PositionSource, ServingCell

_TOLD_AGAIN_M: Final = 250.0
"""A way after which other cells may lie ahead."""
_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class Position:
    """The cell that the observer is in, None outside of all that are known, and where it is and heads if it knows."""

    cell: str | None
    fix: Fix | None = None
    heading_deg: float | None = None


class Navigator:
    """Follows a source of positions. `on_moved` is called for another cell, and after some way within one."""

    def __init__(
        self, source: PositionSource, border: Border, *, moves: bool, on_moved: Callable[[Position], None]
    ) -> None:
        self.position: Position | None = None
        self._source = source
        self._border = border
        self._moves = moves
        self._on_moved = on_moved
        self._whereabouts: Whereabouts | None = None
        self._anchor: Fix | None = None
        self._heading_deg: float | None = None
        self._told: Position | None = None

    @property
    def fix(self) -> Fix | None:
        """Where the observer was seen last."""
        return None if self.position is None else self.position.fix

    def locate(self, stream_s: float, home: str, cells: Collection[str], places: Mapping[str, Place]) -> str | None:
        """Return the cell that the observer is in at a moment of the stream; None outside of all that are known.

        While nothing is known of where it is, it is in its home cell, and then wherever it was last.
        """
        seen = self._source.at(stream_s)
        if isinstance(seen, ServingCell):
            self._whereabouts = Whereabouts(seen.cell if seen.cell in cells else None)
        elif seen is not None and home in places:
            self._whereabouts = follow(self._whereabouts, places, seen, stream_s, self._border)
        stays = self._whereabouts is None or not self._moves
        cell = home if stays or self._whereabouts is None else self._whereabouts.cell
        self._note(cell, seen if isinstance(seen, Fix) else None)
        return cell

    def _note(self, cell: str | None, fix: Fix | None) -> None:
        if fix is not None:
            heading = heading_deg(self._anchor, fix)
            if heading is not None or self._anchor is None:
                self._anchor, self._heading_deg = fix, heading
        self.position = Position(cell, fix, self._heading_deg)
        if self._is_news(self.position):
            if self._told is None or self._told.cell != cell:
                _log.info("the observer is in another cell" if self._told else "the observer knows its cell", cell=cell)
            self._told = self.position
            self._on_moved(self.position)

    def _is_news(self, position: Position) -> bool:
        told = self._told
        if told is None or told.cell != position.cell:
            return True
        if position.fix is None or told.fix is None:
            return position.fix is not None
        return distance_m(told.fix.point, position.fix.point) >= _TOLD_AGAIN_M
