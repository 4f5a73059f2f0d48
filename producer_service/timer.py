"""The timer: makes delayed messages pending when their time has come, for a relay to publish.

It only moves rows from one status to another, in one statement for each lane, so any number of timers may run: each row
falls due once. A crash leaves it delayed or pending, and a cancellation finds it delayed or does not. Each lane has its
turn: what is due for somebody who waits does not stand behind all the bulk that was to go out at that moment.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import CursorResult, Update, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.backoff import Backoff
from producer_service.clock import now
from producer_service.database import DATABASE_ERRORS
from producer_service.models import OutboxRow, Status, written_out
from producer_service.relay import wait_first_of
from producer_service.trouble import Trouble, describe
from shared.contracts import Lane

LONGEST_REST = 1.0
"""Seconds. What is recorded meanwhile, here or elsewhere, may be due so much earlier than what was known before."""

SHORTEST_REST = 0.05
"""Seconds, once nothing is due that could be moved. A row that somebody holds must not be asked for without a pause."""

DUE_AT_ONCE = 500
"""Rows of one lane. Few enough for one short statement."""

TROUBLE = Backoff(first=1.0, most=30.0, least=0.5)
DELAYED = OutboxRow.status == written_out(Status.DELAYED)


class Timer:
    """Lets delayed rows fall due, for as long as it runs. No failure of the database ends it."""

    def __init__(self, engine: AsyncEngine, *, wake: Callable[[], object], trouble: Backoff = TROUBLE) -> None:
        """Use this engine's pool; call `wake` whenever something has fallen due."""
        self._engine = engine
        self._wake = wake
        self._trouble = Trouble(
            log=structlog.get_logger(), backoff=trouble, begins="timer.interrupted", ends="timer.resumed"
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. A row falls due at its moment, by the database's clock, and at most 1 s later."""
        while not stop.is_set():
            await wait_first_of([stop], within=await self._turn())

    async def fall_due(self, most: int = DUE_AT_ONCE) -> int:
        """Make at most `most` rows of each lane pending whose time has come, the earliest first; return how many."""
        return sum([await self._fall_due(lane, most) for lane in Lane])

    async def rest(self) -> float:
        """Return the seconds to the next row that falls due, and never more than a second."""
        first = select(OutboxRow.deliver_at, now()).where(DELAYED).order_by(OutboxRow.deliver_at).limit(1)
        async with self._engine.connect() as connection:
            found = (await connection.execute(first)).one_or_none()
        if found is None or found[0] is None:
            return LONGEST_REST
        return min(max(0.0, (found[0] - found[1]).total_seconds()), LONGEST_REST)

    async def _fall_due(self, lane: Lane, most: int) -> int:
        async with self._engine.begin() as connection:
            done: CursorResult[Any] = await connection.execute(_fall_due(lane, most))
        return done.rowcount

    async def _turn(self) -> float:
        """Let what is due fall due; return how long to rest, in seconds."""
        try:
            fallen = await self.fall_due()
            if fallen:
                self._wake()
            rest = 0.0 if fallen >= DUE_AT_ONCE else max(SHORTEST_REST, await self.rest())
        except DATABASE_ERRORS as error:
            return self._trouble.lasts(describe(error))
        self._trouble.ends()
        return rest


def _fall_due(lane: Lane, most: int) -> Update:
    due = (
        select(OutboxRow.position)
        .where(DELAYED, OutboxRow.lane == int(lane), OutboxRow.deliver_at <= now())
        .order_by(OutboxRow.deliver_at, OutboxRow.position)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return update(OutboxRow).where(OutboxRow.position.in_(due)).values(status=Status.PENDING)
