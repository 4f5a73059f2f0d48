"""Which workers are alive: a heartbeat in the database, so that what a dead worker held can be taken over."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
import uuid_utils.compat
from sqlalchemy import delete, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.claim import DEAD_AFTER
from consumer_service.database import DATABASE_ERRORS
from consumer_service.models import WorkerRow

BEAT_SECONDS = DEAD_AFTER.total_seconds() / 4

log: Any = structlog.get_logger()


def worker_name() -> str:
    """Return a name that no other process, here or elsewhere, now or later, will have."""
    return f"{socket.gethostname()}:{os.getpid()}:{str(uuid_utils.compat.uuid7())[-12:]}"


@asynccontextmanager
async def present(
    engine: AsyncEngine, *, worker: str, queues: str, beat_seconds: float = BEAT_SECONDS
) -> AsyncIterator[asyncio.Event]:
    """Keep this worker's heartbeat going for as long as the context lasts; leave no row behind on leaving.

    Yields an event that is set by the first beat, however long the database is away: a worker without a pulse must
    hold nothing. A bug that ends the heartbeat ends whatever runs in the context.
    """
    seen = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(_beat_for_ever(engine, worker, queues, seen, beat_seconds), name="heartbeat")
            try:
                yield seen
            finally:
                beating.cancel()
    finally:
        with suppress(*DATABASE_ERRORS):
            async with engine.begin() as connection:
                await connection.execute(delete(WorkerRow).where(WorkerRow.id == worker))


async def _beat_for_ever(engine: AsyncEngine, worker: str, queues: str, seen: asyncio.Event, pause: float) -> None:
    while True:
        try:
            await beat(engine, worker=worker, queues=queues)
            seen.set()
        except DATABASE_ERRORS as error:
            log.warning("worker.heartbeat_failed", error=type(error).__name__)
        await asyncio.sleep(pause)


async def beat(engine: AsyncEngine, *, worker: str, queues: str) -> None:
    """Say once that this worker is alive, by the database's clock."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    alive = insert(WorkerRow).values(id=worker, queues=queues)
    statement = alive.on_conflict_do_update(index_elements=["id"], set_={"seen_at": func.current_timestamp()})
    async with engine.begin() as connection:
        await connection.execute(statement)
