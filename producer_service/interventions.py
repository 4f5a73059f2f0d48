"""What an operator does to the outbox: release, publish again, purge. Nothing happens here that is not on record."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Delete, Update, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

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
        """Delete published or parked rows; return how many. Raises ValueError for pending ones: that would lose them.

        Deleting a parked row loses its message, and lets what waited behind it in its aggregate go on without it.
        """
        if selection.status is Status.PENDING:
            raise ValueError("pending rows are never purged")
        return await self._change("purge", selection, operator, delete(OutboxRow))

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
        begun = insert(OutboxAction).values(
            at=now(), by=operator.by, why=operator.why, action=action, selection=selection, rows=rows
        )
        async with self._engine.begin() as connection:
            return int((await connection.execute(begun.returning(OutboxAction.id))).scalar_one())

    async def _now(self) -> datetime:
        async with self._engine.connect() as connection:
            return (await connection.execute(select(now()))).scalar_one()
