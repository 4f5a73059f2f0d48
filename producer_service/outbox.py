"""The outbox: what must reach the broker, because it was committed with the business change it announces."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Select,
    Table,
    case,
    delete,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session

from producer_service.clock import FromNow, now
from producer_service.models import OutboxRow, Status, written_out
from shared.contracts import Contract, Lane
from shared.envelope import Envelope, encode
from shared.errors import OversizedMessage
from shared.topology import exchange_for
from shared.transport import LARGEST_BODY

# Built once: that takes longer than running it. Inline, for nobody asks for the row's position.
INSERT = insert(cast("Table", OutboxRow.__table__)).inline()

PURGED_AT_ONCE = 1000
"""Rows. Few enough for one short transaction."""


def record(
    session: AsyncSession | Session,
    envelope: Envelope[Contract],
    *,
    deliver_at: datetime | FromNow | None = None,
    lane: Lane | None = None,
) -> None:
    """Add an envelope to the session's transaction; it is published if, and only if, that transaction commits.

    With `deliver_at` it is published then, within about a second, and not before. It stands in the lane of its class
    unless another is given. Works in any session on this database.
    Raises OversizedMessage for what no reader would accept.
    """
    session.add(OutboxRow(**placed_row_of(envelope, deliver_at=deliver_at, lane=lane)))


async def insert_row(session: AsyncSession, row: Mapping[str, Any]) -> None:
    """Write what `placed_row_of` returned at once, past the session's unit of work, which takes twice as long."""
    if isinstance(row["deliver_at"], FromNow):  # The database counts it, so it is no parameter but part of the words.
        await session.execute(INSERT.values(row))
    else:
        await session.execute(INSERT, row)


def placed_row_of(
    envelope: Envelope[Contract], *, deliver_at: datetime | FromNow | None, lane: Lane | None = None
) -> dict[str, Any]:
    """Return what the outbox stores of an envelope and of its place there. Raises OversizedMessage as `record` does."""
    status = Status.PENDING if deliver_at is None else Status.DELAYED
    return {**row_of(envelope, lane), "status": status, "deliver_at": deliver_at}


def row_of(envelope: Envelope[Contract], lane: Lane | None = None) -> dict[str, Any]:
    """Return what the outbox stores of an envelope, by column. Raises OversizedMessage as `record` does."""
    payload = encode(envelope)
    if len(payload) > LARGEST_BODY:
        raise OversizedMessage(f"{envelope.type}: {len(payload)} bytes, the limit is {LARGEST_BODY}")
    return {
        "id": envelope.id,
        "aggregatetype": envelope.type.partition(".")[0],
        "aggregateid": envelope.subject,
        "type": envelope.type,
        "payload": payload,
        "exchange": exchange_for(type(envelope.data)).name,
        "source": envelope.source,
        "correlationid": envelope.correlation_id,
        "time": envelope.time,
        "lane": int(envelope.data.lane if lane is None else lane),
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one message has come."""

    id: str
    status: str
    attempts: int
    last_error: str | None
    recorded_at: datetime
    published_at: datetime | None
    parked_reason: str | None
    deliver_at: datetime | None = None
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the outbox holds back: counts of rows, and how long the oldest pending row has waited, in seconds.

    A row that was delayed has waited since its time came, not since it was recorded.
    """

    pending: int
    parked: int
    oldest_seconds: float
    delayed: int = 0


class Outbox:
    """Asks and tends the outbox. Every call is one short transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use this engine's pool."""
        self._engine = engine

    async def stands(self, event_id: str) -> Standing | None:
        """Return how far a message has come, or None if it was never recorded or is purged."""
        columns = [getattr(OutboxRow, name) for name in Standing.__slots__]
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*columns).where(OutboxRow.id == event_id))).one_or_none()
        return None if row is None else Standing(*row)

    async def is_there(self) -> bool:
        """Tell whether the database has the outbox that this code needs, whatever else it holds."""
        async with self._engine.connect() as connection:
            there = await connection.run_sync(_columns)
        return {column.name for column in inspect(OutboxRow).columns} <= there

    async def backlog(self) -> Backlog:
        """Count what is pending, parked and delayed. Takes a few tenths of a second per million rows."""
        async with self._engine.connect() as connection:
            counts = [
                (
                    await connection.execute(select(func.count()).where(OutboxRow.status == written_out(status)))
                ).scalar_one()
                for status in (Status.PENDING, Status.PARKED, Status.DELAYED)
            ]
            oldest = [(await connection.execute(_oldest(lane))).one_or_none() for lane in Lane]
        seconds = max(((first[1] - first[0]).total_seconds() for first in oldest if first), default=0.0)
        return Backlog(counts[0], counts[1], seconds, delayed=counts[2])

    async def pending_up_to(self, most: int) -> int:
        """Count pending rows, but stop at `most`: so long it takes, and no longer."""
        pending = select(OutboxRow.position).where(OutboxRow.status == written_out(Status.PENDING)).limit(most)
        async with self._engine.connect() as connection:
            return int((await connection.execute(select(func.count()).select_from(pending.subquery()))).scalar_one())

    async def purge_published(self, older_than: timedelta, most: int = PURGED_AT_ONCE) -> int:
        """Delete at most `most` rows that were published or cancelled longer ago than this; return how many.

        Never touches a pending, delayed or parked row, and never waits for a row that somebody else has locked.
        """
        seconds = older_than.total_seconds()
        published = await self._change(_purge(Status.PUBLISHED, OutboxRow.published_at, seconds, most))
        if published == most:
            return published
        return published + await self._change(
            _purge(Status.CANCELLED, OutboxRow.cancelled_at, seconds, most - published)
        )

    async def _change(self, statement: Delete) -> int:
        async with self._engine.begin() as connection:
            result: CursorResult[Any] = await connection.execute(statement)
        return result.rowcount


def _columns(connection: Connection) -> set[str]:
    try:
        return {column["name"] for column in inspect(connection).get_columns(OutboxRow.__tablename__)}
    except NoSuchTableError:
        return set()


def _oldest(lane: Lane) -> Select[datetime, datetime]:
    pending = (OutboxRow.status == written_out(Status.PENDING), OutboxRow.lane == int(lane))
    return select(_waits_since(), now()).where(*pending).order_by(OutboxRow.position).limit(1)


def _waits_since() -> ColumnElement[datetime]:
    return case((OutboxRow.deliver_at > OutboxRow.recorded_at, OutboxRow.deliver_at), else_=OutboxRow.recorded_at)


def _purge(status: Status, since: InstrumentedAttribute[datetime | None], seconds: float, most: int) -> Delete:
    old = (
        select(OutboxRow.position)
        .where(OutboxRow.status == written_out(status), since < FromNow(-seconds))
        .order_by(since)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return delete(OutboxRow).where(OutboxRow.position.in_(old))
