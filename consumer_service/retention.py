"""Forgetting: what ended long ago, and which workers were there, deleted in small batches by the database's clock.

What was done with a message is remembered for longer than anybody can send it back from dead letters:

- A dead letter in the table holds the inbox rows of its message, however old they are, for as long as a copy of it may
  still be worked on (`lifecycle.HELD`). It expires first, and lets go then.
- A dead letter that still stands in the broker holds nothing, but it expires as early as one in the table: its age is
  that of its death, not that of its collection. So `keep` must be longer than `replayable` by as long as a copy of a
  message may be on its way after another copy of it was done: the retry ladder (17 h by default) and a backlog.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Delete, Update, delete, exists, func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.clock import ago
from consumer_service.database import DATABASE_ERRORS
from consumer_service.lifecycle import FINAL, HELD, State
from consumer_service.models import DeadLetterRow, InboxMessage, WorkerRow

SWEEP_SECONDS = 3600.0
FORGOTTEN_AT_ONCE = 1000

WORKERS_KEPT = timedelta(days=1)
"""Long after a worker that was not seen counts as dead, so that an operator can still see that it was there."""

KEY = tuple_(InboxMessage.task, InboxMessage.message_id)

log: Any = structlog.get_logger()


async def forget_for_ever(
    engine: AsyncEngine,
    *,
    keep: timedelta,
    replayable: timedelta,
    remembered: Callable[[float], object],
    pause_seconds: float = SWEEP_SECONDS,
) -> None:
    """Forget now and then what is older than `keep`, until cancelled. A database that is away is asked again later.

    After each time `remembered` is told about how many rows the inbox holds.
    """
    while True:
        try:
            forgotten = await forget(engine, keep=keep, replayable=replayable)
            remembered(await rows(engine))
        except DATABASE_ERRORS as error:
            log.warning("inbox.not_swept", error=type(error).__name__)
        else:
            log.info("inbox.swept", forgotten=forgotten)
        await asyncio.sleep(pause_seconds)


async def forget(engine: AsyncEngine, *, keep: timedelta, replayable: timedelta) -> int:
    """Delete every pair that ended, or was started and left, longer ago than `keep`; return how many.

    Before that, dead letters that died longer ago than `replayable` expire; after it, those are deleted on which was
    decided longer ago than `keep`. Each batch is a transaction of its own. A message that comes again after its pair
    was deleted is worked on again.
    """
    dialect = engine.dialect.name
    await expire(engine, replayable=replayable)
    forgotten = 0
    while batch := await _execute(engine, _old_pairs(ago(dialect, keep))):
        forgotten += batch
    while await _execute(engine, _old_dead_letters(ago(dialect, keep))):
        pass
    await _execute(engine, delete(WorkerRow).where(WorkerRow.seen_at < ago(dialect, WORKERS_KEPT)))
    return forgotten


async def rows(engine: AsyncEngine) -> int:
    """Return how many rows the inbox holds: PostgreSQL's own estimate, because a month of them takes long to count."""
    estimate = text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'inbox'::regclass")
    counted = select(func.count()).select_from(InboxMessage)
    async with engine.connect() as connection:
        return int(await connection.scalar(estimate if engine.dialect.name == "postgresql" else counted) or 0)


async def expire(engine: AsyncEngine, *, replayable: timedelta) -> int:
    """Let dead letters expire that died longer ago than `replayable`, and return how many that was."""
    expired = await _execute(engine, _expiring(ago(engine.dialect.name, replayable)))
    if expired:
        log.info("dead_letters.expired", count=expired)
    return expired


def _expiring(limit: ColumnElement[Any]) -> Update:
    """One that is on its way back does so by the time at which that was begun."""
    waits = (DeadLetterRow.state == State.WAITING) & (DeadLetterRow.last_died_at < limit)
    hangs = (DeadLetterRow.state == State.REPLAYING) & (DeadLetterRow.changed_at < limit)
    expired = {"state": State.EXPIRED, "changed_at": func.current_timestamp()}
    return update(DeadLetterRow).where(or_(waits, hangs)).values(expired)


def _old_pairs(limit: ColumnElement[Any]) -> Delete:
    ended = InboxMessage.finished_at < limit
    left = InboxMessage.finished_at.is_(None) & (InboxMessage.started_at < limit)
    held = exists().where(DeadLetterRow.message_id == InboxMessage.message_id, DeadLetterRow.state.in_(sorted(HELD)))
    old = select(InboxMessage.task, InboxMessage.message_id).where(or_(ended, left), ~held).limit(FORGOTTEN_AT_ONCE)
    return delete(InboxMessage).where(KEY.in_(old.with_for_update(skip_locked=True)))


def _old_dead_letters(limit: ColumnElement[Any]) -> Delete:
    decided = DeadLetterRow.state.in_(sorted(FINAL)) & (DeadLetterRow.changed_at < limit)
    old = select(DeadLetterRow.id).where(decided).limit(FORGOTTEN_AT_ONCE)
    return delete(DeadLetterRow).where(DeadLetterRow.id.in_(old.with_for_update(skip_locked=True)))


async def _execute(engine: AsyncEngine, statement: Delete | Update) -> int:
    async with engine.begin() as connection:
        return (await connection.execute(statement)).rowcount
