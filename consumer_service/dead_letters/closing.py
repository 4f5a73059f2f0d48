"""Decisions that end the waiting of dead letters: they shall not be done, or they need not be kept."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.clock import ago
from consumer_service.dead_letters.audit import Order, note
from consumer_service.dead_letters.returning import advance
from consumer_service.dead_letters.stored import LETTERS, DeadLetter
from consumer_service.lifecycle import FINAL, State, Step

AT_ONCE = 500
"""Rows that share one transaction."""

STILL_TRIED = timedelta(days=2)
"""How long a copy that was sent back may wait and be tried: the longest retry ladder takes 17 h, and so may a backlog.
Until then its row holds the inbox rows of the message, and is not purged."""

log: Any = structlog.get_logger()


async def discard(engine: AsyncEngine, ids: Sequence[int], order: Order) -> int:
    """Decide that those of these that wait shall not be done, and return how many that was. Their rows stay."""
    discarded = 0
    for start in range(0, len(ids), AT_ONCE):
        async with engine.begin() as connection:
            letters = await advance(connection, ids[start : start + AT_ONCE], Step.DISCARD)
            await note(connection, Step.DISCARD, order, letters)
        discarded += len(letters)
    log.info("dead_letters.discarded", count=discarded, operator=order.by)
    return discarded


async def purgeable(engine: AsyncEngine, older_than: timedelta, queue: str | None = None) -> Sequence[int]:
    """Return the ids of those on which was decided longer ago than this; what was replayed has two days to end."""
    dialect = engine.dialect.name
    has_ended = (LETTERS.c.state != State.REPLAYED) | (LETTERS.c.changed_at < ago(dialect, STILL_TRIED))
    conditions = [LETTERS.c.state.in_(sorted(FINAL)), LETTERS.c.changed_at < ago(dialect, older_than), has_ended]
    conditions += [LETTERS.c.queue == queue] if queue else []
    async with engine.connect() as connection:
        return list(await connection.scalars(select(LETTERS.c.id).where(*conditions).order_by(LETTERS.c.id)))


async def purge(engine: AsyncEngine, ids: Sequence[int], order: Order) -> int:
    """Delete those of these on which was decided, bodies and deaths included; the audit stays. Return how many."""
    purged = 0
    for start in range(0, len(ids), AT_ONCE):
        final = LETTERS.c.id.in_(ids[start : start + AT_ONCE]) & LETTERS.c.state.in_(sorted(FINAL))
        async with engine.begin() as connection:
            rows = await connection.execute(delete(LETTERS).where(final).returning(LETTERS))
            letters = [DeadLetter.of(row) for row in rows]
            await note(connection, "purge", order, letters)
        purged += len(letters)
    log.info("dead_letters.purged", count=purged, operator=order.by)
    return purged
