"""The consumer's tables: what was started and done, which workers are alive, what died and what became of it."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from consumer_service.clock import UtcDateTime

ID_LENGTH = 255

BIG = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers its rows only in a column of type INTEGER."""


class Base(DeclarativeBase):
    """The consumer's own schema; it shares no table with the producer."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        }
    )


class InboxMessage(Base):
    """One task's dealings with one message. Kept longer than any dead letter that can be replayed."""

    __tablename__ = "inbox"

    task: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary(16))
    status: Mapped[str] = mapped_column(String(16))
    holder: Mapped[str] = mapped_column(String(ID_LENGTH))
    starts: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    attempt: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    replays: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_inbox_finished_at", "finished_at"),)


class WorkerRow(Base):
    """One worker process that was alive at `seen_at`."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    queues: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DeadLetterRow(Base):
    """One message that could not be done in one queue, with its body exactly as it was received.

    A message is the same when queue, id and body are. It may die several times: at each replay, and once for each copy
    that was made of it because a confirm or an ack was lost. Each death is a row of `dead_letter_deaths`; this row says
    what the last one was. `diff` is what an editor has changed, and as private as the body.
    """

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    queue: Mapped[str] = mapped_column(String(ID_LENGTH))
    message_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    body_hash: Mapped[bytes] = mapped_column(LargeBinary(16))
    state: Mapped[str] = mapped_column(String(16), default="waiting", server_default="waiting")
    type: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    task: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    subject: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    reason: Mapped[str] = mapped_column(String(64))
    error: Mapped[str] = mapped_column(Text)
    error_class: Mapped[str] = mapped_column(String(100))
    fingerprint: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer)
    replays: Mapped[int] = mapped_column(Integer)
    deaths: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    first_died_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_died_at: Mapped[datetime] = mapped_column(UtcDateTime)
    collected_at: Mapped[datetime] = mapped_column(UtcDateTime, server_default=func.now())
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, server_default=func.now())
    content_type: Mapped[str | None] = mapped_column(Text)
    time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    headers: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    edited_from: Mapped[int | None] = mapped_column(BIG)
    diff: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("queue", "message_id", "body_hash"),
        Index("ix_dead_letters_message_id", "message_id"),
        Index("ix_dead_letters_state_last_died_at", "state", "last_died_at"),
        # Without this SQLite would give the number of a purged dead letter to another one.
        {"sqlite_autoincrement": True},
    )


class DeathRow(Base):
    """One death of a dead letter. `mark` is the same when the same copy is delivered twice, and else differs."""

    __tablename__ = "dead_letter_deaths"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    dead_letter_id: Mapped[int] = mapped_column(BIG, ForeignKey("dead_letters.id", ondelete="CASCADE"))
    mark: Mapped[str] = mapped_column(String(32))
    died_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(64))
    error: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer)
    replays: Mapped[int] = mapped_column(Integer)

    __table_args__ = (UniqueConstraint("dead_letter_id", "mark"),)


class ActionRow(Base):
    """Who did what to which dead letter, and why. Only ever added to; outlives the dead letter."""

    __tablename__ = "dead_letter_actions"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, server_default=func.now())
    action: Mapped[str] = mapped_column(String(16))
    operator: Mapped[str] = mapped_column(String(ID_LENGTH))
    why: Mapped[str] = mapped_column(Text)
    dead_letter_id: Mapped[int] = mapped_column(BIG)
    queue: Mapped[str] = mapped_column(String(ID_LENGTH))
    message_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    details: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_dead_letter_actions_dead_letter_id", "dead_letter_id"),)
