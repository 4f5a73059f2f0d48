"""What an operator asks the outbox. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.models import OutboxAction, OutboxRow, Status
from producer_service.selection import Selection


@dataclass(frozen=True, slots=True)
class Entry:
    """One outbox row, without its payload."""

    id: str
    status: str
    type: str
    aggregateid: str
    exchange: str
    correlationid: str
    recorded_at: datetime
    published_at: datetime | None
    lane: int
    deliver_at: datetime | None
    available_at: datetime | None
    attempts: int
    parked_reason: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows of one type there are, and from when to when, in the selection's own time."""

    type: str
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator did."""

    at: datetime
    by: str
    action: str
    rows: int
    selection: str
    why: str


ENTRY = [getattr(OutboxRow, name) for name in Entry.__slots__]


class Inspection:
    """Asks. Every call is one short transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use this engine's pool."""
        self._engine = engine

    async def entries(self, selection: Selection, limit: int) -> Sequence[Entry]:
        """Return at most `limit` rows: the oldest, or of published ones the latest."""
        order = selection.order()
        if selection.status is Status.PUBLISHED:
            order = [column.desc() for column in order]
        found = select(*ENTRY).where(*selection.conditions()).order_by(*order).limit(limit)
        async with self._engine.connect() as connection:
            return [Entry(*row) for row in await connection.execute(found)]

    async def entry(self, event_id: str) -> tuple[Entry, bytes] | None:
        """Return one row and its payload, or None when it was never recorded or is purged."""
        found = select(*ENTRY, OutboxRow.payload).where(OutboxRow.id == event_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(found)).one_or_none()
        return None if row is None else (Entry(*row[:-1]), row[-1])

    async def tally(self, selection: Selection) -> Sequence[Tally]:
        """Count what is selected, by type. Takes some tenths of a second per million rows."""
        when = selection.order()[0] if selection.status is Status.PUBLISHED else OutboxRow.recorded_at
        counted = select(OutboxRow.type, func.count(), func.min(when), func.max(when)).where(*selection.conditions())
        async with self._engine.connect() as connection:
            found = await connection.execute(counted.group_by(OutboxRow.type).order_by(OutboxRow.type))
            return [Tally(*row) for row in found]

    async def actions(self, limit: int) -> Sequence[Action]:
        """Return what operators did, the latest first."""
        columns = [getattr(OutboxAction, name) for name in Action.__slots__]
        found = select(*columns).order_by(OutboxAction.id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [Action(*row) for row in await connection.execute(found)]
