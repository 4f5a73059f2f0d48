"""What the producer remembers: its users, and the outbox."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from producer_service.clock import UtcDateTime, now


class Status(StrEnum):
    """Where an outbox row stands. Only an operator lets a row out of `published` or `parked`, and that is on record."""

    PENDING = "pending"
    """To be published, now or not before `available_at`."""
    DELAYED = "delayed"
    """Held until `deliver_at`, and pending from then on. It holds back nothing, and may be cancelled."""
    PUBLISHED = "published"
    """Confirmed by the broker; kept for a while, then purged."""
    PARKED = "parked"
    """Publishing it again cannot help until an operator acts. It also holds back what follows in its aggregate."""
    CANCELLED = "cancelled"
    """Somebody did not want it any more before it was published; kept for a while, then purged."""


def written_out(status: Status) -> ColumnElement[str]:
    """Return a status as a constant in the statement, not as a parameter.

    A partial index is used only by a condition that repeats the index's own condition as it stands.
    """
    return literal_column(f"'{status}'", Text)


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


class Base(DeclarativeBase):
    """The tables of this service. Constraints have names, so that a migration can drop them on any database."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


class User(Base):
    """Somebody who registered. The address is kept as written, and folded to tell whether it is taken."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OutboxRow(Base):
    """A message that must reach the broker, because it was committed with the business change it announces.

    `id`, `aggregatetype`, `aggregateid`, `type` and `payload` are named as in Debezium's outbox event router, so
    that log-based capture can take the relay's place. `payload` is the final bytes; nobody here parses them.
    """

    __tablename__ = "outbox"

    position: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True
    )
    id: Mapped[str] = mapped_column(Text, unique=True)
    aggregatetype: Mapped[str] = mapped_column(Text)
    aggregateid: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    exchange: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    correlationid: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, insert_default=now())
    status: Mapped[str] = mapped_column(Text, server_default=Status.PENDING)
    lane: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    deliver_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    available_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)
    parked_reason: Mapped[str | None] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delayed', 'published', 'parked', 'cancelled')", name="status"),
        _partial("outbox_pending_by_lane", "lane", "position", where="status = 'pending'"),
        _partial(
            "outbox_unpublished_by_lane", "lane", "aggregateid", "position", where="status IN ('pending', 'parked')"
        ),
        _partial(
            "outbox_held_by_lane",
            "lane",
            "aggregateid",
            "position",
            where="status = 'parked' OR (status = 'pending' AND available_at IS NOT NULL)",
        ),
        _partial("outbox_parked", "position", where="status = 'parked'"),
        _partial("outbox_published", "published_at", where="status = 'published'"),
        _partial("outbox_delayed", "deliver_at", "position", where="status = 'delayed'"),
        _partial("outbox_delayed_by_lane", "lane", "deliver_at", "position", where="status = 'delayed'"),
        _partial("outbox_cancelled", "cancelled_at", where="status = 'cancelled'"),
        # Without this SQLite would give the position of a purged row to a new one.
        {"sqlite_autoincrement": True},
    )


class OutboxAction(Base):
    """Something that an operator did to outbox rows: who, why, which rows were meant, and how many were changed."""

    __tablename__ = "outbox_actions"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    selection: Mapped[str] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"sqlite_autoincrement": True},)
