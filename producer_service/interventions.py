"""What an operator does to the outbox: release, publish again, purge. Nothing happens here that is not on record."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Delete, Update, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producer_service.clock import now
from producer_service.models import OutboxAction, OutboxRow, Status, written_out
from producer_service.selection import Selection

CHANGED_AT_ONCE = 1000
"""Rows. Few enough for one short transaction."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and why."""

    by: str
    why: str


class Cancellation(StrEnum):
    """What came of the wish to cancel a message."""

    CANCELLED = "cancelled"
    """No relay will publish it from now on; it was cancelled now, or before."""
    PUBLISHED = "published"
    """Too late."""
    ON_ITS_WAY = "on its way"
    """A relay may be publishing it at this moment. On PostgreSQL it pays to ask again; on SQLite, which has no row
    locks, what is due can no longer be stopped."""
    UNKNOWN = "unknown"
    """It was never recorded, or is purged."""


class Interventions:
    """Changes outbox rows in small transactions, each of which adds to the action's count of rows.

    Cut off halfway, a call has done a part, and the record says how large a part; repeating it does the rest.
    """

    def __init__(self, engine: AsyncEngine, *, at_once: int = CHANGED_AT_ONCE) -> None:
        """Use this engine's pool; change at most `at_once` rows in one transaction."""
        self._engine = engine
        self._at_once = at_once

    async def release(self, selection: Selection, operator: Operator) -> int:
        """Let parked rows be published again, at once, and what waited behind them; return how many.

        For an operator who has removed the reason: bound the missing queue, or granted the missing permission.
        """
        chosen = replace(selection, status=Status.PARKED)
        freed = {"status": Status.PENDING, "parked_reason": None, "available_at": None}
        return await self._change("release", chosen, operator, update(OutboxRow).values(**freed))

    async def republish(self, selection: Selection, operator: Operator) -> int:
        """Let published rows be published once more, under the same ids; return how many.

        Readers whose inbox still knows an id do nothing. Rows become pending in the order in which they were
        published, and so the order within an aggregate is kept. What is published while this runs is left alone.
        """
        until = selection.until or await self._now()
        chosen = replace(selection, status=Status.PUBLISHED, until=until)
        anew = {"status": Status.PENDING, "published_at": None, "attempts": 0}
        return await self._change("republish", chosen, operator, update(OutboxRow).values(**anew))

    async def purge(self, selection: Selection, operator: Operator) -> int:
        """Delete published, parked or cancelled rows; return how many. Raises ValueError for those still to be sent.

        Deleting a parked row loses its message, and lets what waited behind it in its aggregate go on without it.
        """
        if selection.status in {Status.PENDING, Status.DELAYED}:
            raise ValueError(f"{selection.status} rows are never purged")
        return await self._change("purge", selection, operator, delete(OutboxRow))

    async def cancel(self, event_id: str, operator: Operator) -> Cancellation:
        """Cancel a message that is delayed, parked, or waits for a relay; what waited behind it goes on without it.

        Either this or a relay's claim gets it, never both. What a relay has tried before without learning how it ended
        (`last_error` says unknown, or the relay died) may be out all the same; what was never due is not. Waits for
        nobody. Only what was changed is put on record.
        """
        async with self._engine.begin() as connection:
            if (await connection.execute(_cancel(event_id, connection))).rowcount:
                await _write_down(connection, "cancel", json.dumps({"event_id": event_id}), operator, rows=1)
                return Cancellation.CANCELLED
            status = select(OutboxRow.status).where(OutboxRow.id == event_id)
            found = (await connection.execute(status)).scalar_one_or_none()
        return _too_late(found)

    async def record_reveal(self, event_id: str, operator: Operator) -> None:
        """Put on record that somebody saw the data in a message."""
        await self._begin("reveal", json.dumps({"event_id": event_id}), operator, rows=1)

    async def _change(self, action: str, chosen: Selection, operator: Operator, change: Update | Delete) -> int:
        record, changed, after = await self._begin(action, str(chosen), operator), 0, 0
        while positions := await self._change_some(chosen, change, record, after):
            changed += len(positions)
            after = max(positions)
        return changed

    async def _change_some(self, chosen: Selection, change: Update | Delete, record: int, after: int) -> Sequence[int]:
        """Change the next rows, and return their positions. A row that is parked again meanwhile is not met again."""
        beyond = [OutboxRow.position > after] if chosen.status is Status.PARKED else []
        some = select(OutboxRow.position).where(*chosen.conditions(), *beyond).order_by(*chosen.order())
        these = OutboxRow.position.in_(some.limit(self._at_once))
        still = OutboxRow.status == written_out(chosen.status)
        async with self._engine.begin() as connection:
            done = await connection.execute(change.where(these, still).returning(OutboxRow.position))
            positions = done.scalars().all()
            more = update(OutboxAction).where(OutboxAction.id == record)
            await connection.execute(more.values(rows=OutboxAction.rows + len(positions)))
        return positions

    async def _begin(self, action: str, selection: str, operator: Operator, *, rows: int = 0) -> int:
        async with self._engine.begin() as connection:
            return await _write_down(connection, action, selection, operator, rows)

    async def _now(self) -> datetime:
        async with self._engine.connect() as connection:
            return (await connection.execute(select(now()))).scalar_one()


async def _write_down(connection: AsyncConnection, action: str, selection: str, operator: Operator, rows: int) -> int:
    done = insert(OutboxAction).values(
        at=now(), by=operator.by, why=operator.why, action=action, selection=selection, rows=rows
    )
    return int((await connection.execute(done.returning(OutboxAction.id))).scalar_one())


def _cancel(event_id: str, connection: AsyncConnection) -> Update:
    """Pass over a row that a claim has locked. SQLite cannot tell, so there a pending row counts as claimed."""
    pending = [Status.PENDING] if connection.dialect.name == "postgresql" else []
    stoppable = OutboxRow.status.in_([Status.DELAYED, Status.PARKED, *pending])
    free = select(OutboxRow.position).where(OutboxRow.id == event_id, stoppable).with_for_update(skip_locked=True)
    cancelled = {"status": Status.CANCELLED, "cancelled_at": now(), "available_at": None}
    return update(OutboxRow).where(OutboxRow.position.in_(free)).values(**cancelled)


def _too_late(status: str | None) -> Cancellation:
    match status:
        case None:
            return Cancellation.UNKNOWN
        case Status.CANCELLED:
            return Cancellation.CANCELLED
        case Status.PUBLISHED:
            return Cancellation.PUBLISHED
        case _:
            return Cancellation.ON_ITS_WAY
