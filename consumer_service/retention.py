"""Forgetting: what ended long ago, and which workers were there, deleted in small batches by the database's clock."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Delete, delete, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.database import DATABASE_ERRORS
from consumer_service.models import InboxMessage, WorkerRow

SWEEP_SECONDS = 3600.0
FORGOTTEN_AT_ONCE = 1000

WORKERS_KEPT = timedelta(days=1)
"""Long after a worker that was not seen counts as dead, so that an operator can still see that it was there."""

KEY = tuple_(InboxMessage.task, InboxMessage.message_id)

log: Any = structlog.get_logger()


async def forget_for_ever(engine: AsyncEngine, *, keep: timedelta, pause_seconds: float = SWEEP_SECONDS) -> None:
    """Forget now and then what is older than `keep`, until cancelled. A database that is away is asked again later."""
    while True:
        try:
            forgotten = await forget(engine, keep=keep)
        except DATABASE_ERRORS as error:
            log.warning("inbox.not_swept", error=type(error).__name__)
        else:
            log.info("inbox.swept", forgotten=forgotten)
        await asyncio.sleep(pause_seconds)


async def forget(engine: AsyncEngine, *, keep: timedelta) -> int:
    """Delete every pair that ended, or was started and left, longer ago than `keep`; return how many.

    Each batch is a transaction of its own. A message that comes again after that is worked on again, so `keep` must be
    longer than any dead letter waits for its replay.
    """
    ago = _ago(engine, keep)
    forgotten = 0
    while batch := await _delete(engine, _old_pairs(ago)):
        forgotten += batch
    await _delete(engine, delete(WorkerRow).where(WorkerRow.seen_at < _ago(engine, WORKERS_KEPT)))
    return forgotten


def _ago(engine: AsyncEngine, span: timedelta) -> ColumnElement[Any]:
    seconds = int(span.total_seconds())
    if engine.dialect.name == "sqlite":
        return func.datetime("now", f"-{seconds} seconds")
    return func.current_timestamp() - span


def _old_pairs(ago: ColumnElement[Any]) -> Delete:
    ended = InboxMessage.finished_at < ago
    left = InboxMessage.finished_at.is_(None) & (InboxMessage.started_at < ago)
    old = select(InboxMessage.task, InboxMessage.message_id).where(or_(ended, left)).limit(FORGOTTEN_AT_ONCE)
    return delete(InboxMessage).where(KEY.in_(old.with_for_update(skip_locked=True)))


async def _delete(engine: AsyncEngine, statement: Delete) -> int:
    async with engine.begin() as connection:
        return (await connection.execute(statement)).rowcount
