"""What the producer remembers of its schedules."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from producer_service.clock import UtcDateTime
from producer_service.models import Base


class ScheduleRow(Base):
    """How far a schedule has come. What lies before `through` is done with: fired, missed, or older than the row."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    through: Mapped[datetime] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TickRow(Base):
    """A tick that was fired. Its key is what makes it once, however many processes try."""

    __tablename__ = "schedule_ticks"

    schedule: Mapped[str] = mapped_column(Text, primary_key=True)
    tick: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    fired_at: Mapped[datetime] = mapped_column(UtcDateTime)
    message_id: Mapped[str | None] = mapped_column(Text)


class ScheduleAction(Base):
    """Something that an operator did to a schedule: who, what, and why."""

    __tablename__ = "schedule_actions"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    schedule: Mapped[str] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = ({"sqlite_autoincrement": True},)
