"""What the inbox says of messages, read without taking anything over. Changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumer_service.claim import Remembered, Status
from consumer_service.dispatch import Key
from consumer_service.models import InboxMessage, WorkerRow

AT_ONCE = 500
"""Keys in one question; two parameters each."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the inbox, and how the last attempt failed."""

    remembered: Remembered
    error: str | None


async def standings(engine: AsyncEngine, keys: Sequence[Key]) -> Mapping[Key, Standing]:
    """Return what the inbox says of those of these that it knows."""
    found: dict[Key, Standing] = {}
    async with engine.connect() as connection:
        for start in range(0, len(keys), AT_ONCE):
            found |= await _ask(connection, keys[start : start + AT_ONCE])
    return found


async def _ask(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, Standing]:
    statement = (
        select(InboxMessage, WorkerRow.seen_at, func.current_timestamp(type_=WorkerRow.seen_at.type).label("now"))
        .join(WorkerRow, WorkerRow.id == InboxMessage.holder, isouter=True)
        .where(tuple_(InboxMessage.task, InboxMessage.message_id).in_([(key.task, key.message_id) for key in keys]))
    )
    return {
        Key(row.task, row.message_id): Standing(
            Remembered(row.body_hash, Status(row.status), row.holder, row.starts, row.replays, row.seen_at, row.now),
            row.error,
        )
        for row in await connection.execute(statement)
    }
