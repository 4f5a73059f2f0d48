"""FastStream's consumer: without an inbox, with an inbox transaction a message, or that and a row of the task's own.

Its settings are in docs/benchmarks.md, with the reason for each.
"""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.contenders.contract import Errand, Tally, read_errand
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import PeerEvent
from benchmarks.contenders.tables import EFFECTS, PEER_INBOX
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

PREFETCH = 100
CONNECTIONS = 10

Work = Callable[[PeerEvent], Awaitable[None]]


async def nothing(_event: PeerEvent) -> None:
    """Do nothing."""


def in_a_transaction(sessions: async_sessionmaker[AsyncSession], *, writes_a_row: bool) -> Work:
    """Return a handler that does its work only if the inbox takes the message, and commits both."""

    async def work(event: PeerEvent) -> None:
        async with sessions() as session, session.begin():
            taken = await session.execute(
                upsert(PEER_INBOX)
                .values(message_id=event.id)
                .on_conflict_do_nothing()
                .returning(PEER_INBOX.c.message_id)
            )
            if taken.first() is not None and writes_a_row:
                await session.execute(EFFECTS.insert().values(message_id=event.id, user_id=event.data.user_id))

    return work


def open_database(errand: Errand) -> AsyncEngine:
    """Return an engine with as many connections as SQLAlchemy keeps by default when it may overflow."""
    url = errand.database_url.replace("postgresql://", "postgresql+asyncpg://")
    return create_async_engine(url, pool_size=CONNECTIONS, max_overflow=CONNECTIONS)


def chosen(errand: Errand, engine: AsyncEngine) -> Work:
    """Return what is to be done with each message."""
    if errand.options["work"] == "nothing":
        return nothing
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    return in_a_transaction(sessions, writes_a_row=errand.options["work"] == "row")


async def main(errand: Errand) -> None:
    """Consume until SIGTERM."""
    engine = open_database(errand)
    work, tally = chosen(errand, engine), Tally(errand)
    broker = RabbitBroker(errand.broker_url, default_channel=Channel(prefetch_count=PREFETCH), logger=None)

    @broker.subscriber(RabbitQueue(errand.queue, declare=False))
    async def handle(event: PeerEvent) -> None:
        tally.begin(event.id)
        await work(event)
        tally.end()

    await FastStream(broker, logger=None).run()
    await engine.dispose()


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
