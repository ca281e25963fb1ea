"""How many segments there are, kept by the database itself, so that nobody has to count millions."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Cell, Entity, Observer, Purpose


class SegmentTotal(Entity):
    """Segments of one observer in one cell for one purpose, and their frames. A trigger of `segments` writes it."""

    __tablename__ = "segment_totals"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id), primary_key=True, index=True)
    purpose: Mapped[Purpose] = mapped_column(primary_key=True)
    segments: Mapped[int]
    frames: Mapped[int]
