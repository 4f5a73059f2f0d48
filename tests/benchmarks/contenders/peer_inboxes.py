"""The inbox that a peer is given, which brings none: a transaction a message, by SQLAlchemy or by asyncpg alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from benchmarks.contenders.contract import Errand
from benchmarks.contenders.message import PeerEvent
from benchmarks.contenders.tables import EFFECTS, PEER_INBOX
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

CONNECTIONS = 20

TAKE = upsert(PEER_INBOX).on_conflict_do_nothing().returning(PEER_INBOX.c.message_id)
TAKE_BARE = "INSERT INTO peer_inbox (message_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING message_id"
WRITE_BARE = "INSERT INTO effects (message_id, user_id) VALUES ($1, $2)"

Work = Callable[[PeerEvent], Awaitable[None]]


@asynccontextmanager
async def open_work(errand: Errand) -> AsyncIterator[Work]:
    """Open what is to be done with each message: nothing, remember it, or write a row of the task's own as well."""
    work, writes_a_row = errand.options["work"], errand.options["work"] == "row"
    if work == "nothing":
        yield _nothing
    elif errand.options.get("driver") == "asyncpg":
        async with asyncpg.create_pool(errand.database_url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
            yield _by_asyncpg(pool, writes_a_row=writes_a_row)
    else:
        url = errand.database_url.replace("postgresql://", "postgresql+asyncpg://")
        engine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0)
        yield _by_sqlalchemy(async_sessionmaker(engine, expire_on_commit=False), writes_a_row=writes_a_row)
        await engine.dispose()


async def _nothing(_event: PeerEvent) -> None:
    """Do nothing."""


def _by_sqlalchemy(sessions: async_sessionmaker[AsyncSession], *, writes_a_row: bool) -> Work:
    async def work(event: PeerEvent) -> None:
        async with sessions() as session, session.begin():
            taken = await session.execute(TAKE, {"message_id": event.id})
            if taken.first() is not None and writes_a_row:
                await session.execute(EFFECTS.insert(), {"message_id": event.id, "user_id": event.data.user_id})

    return work


def _by_asyncpg(pool: asyncpg.Pool, *, writes_a_row: bool) -> Work:
    async def work(event: PeerEvent) -> None:
        async with pool.acquire() as connection, connection.transaction():
            taken = await connection.fetchval(TAKE_BARE, event.id)
            if taken is not None and writes_a_row:
                await connection.execute(WRITE_BARE, event.id, event.data.user_id)

    return work
