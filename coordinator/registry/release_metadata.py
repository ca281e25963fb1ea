"""The signed metadata of releases, as rows."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Entity


class MetadataFile(Entity):
    """One version of one role's file. Agents may ask for versions that are not the newest any more."""

    __tablename__ = "release_metadata"

    role: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
