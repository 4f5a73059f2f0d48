"""Both services in one process: a composition root for a first look, and for programs that want no broker at all.

Everything is real but the broker when it is `memory://`: SQLite files, HTTP, SMTP. Nothing survives the process
except the two databases; what was in the memory broker's queues when it ended is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from consumer_service.database import open_engine as open_consumer_engine
from consumer_service.dispatch import AnyTask
from consumer_service.migrations import migrate as migrate_consumer
from consumer_service.queues import topology_of
from consumer_service.settings import Settings as ConsumerSettings
from consumer_service.worker import Worker
from producer_service.app import producer
from producer_service.database import open_engine as open_producer_engine
from producer_service.migrations import migrate as migrate_producer
from producer_service.settings import ApiSettings as ProducerSettings
from shared.transport import Transport


@dataclass(frozen=True, slots=True)
class Pair:
    """The running pair: the producer's web app, to be served, and the worker, consuming already."""

    api: FastAPI
    worker: Worker


@asynccontextmanager
async def open_pair(
    *,
    producer_settings: ProducerSettings,
    consumer_settings: ConsumerSettings,
    transport: Transport,
    tasks: Sequence[AnyTask],
) -> AsyncIterator[Pair]:
    """Migrate, declare, and run both services on this transport. Leaving drains the worker, then the relay.

    Raises BrokerUnavailable or TopologyError before anything runs, and on leaving whatever had ended the worker.
    """
    await transport.apply(topology_of([type(task) for task in tasks]))
    await _migrate(producer_settings, consumer_settings)
    engine = open_consumer_engine(consumer_settings.database_url)
    worker = Worker(settings=consumer_settings, transport=transport, engine=engine, tasks=tasks)
    stop = asyncio.Event()
    try:
        async with producer(producer_settings, transport) as api:
            working = asyncio.create_task(worker.run(stop), name="worker")
            try:
                yield Pair(api, worker)
            finally:
                stop.set()
                await working
    finally:
        await engine.dispose()


async def _migrate(producer_settings: ProducerSettings, consumer_settings: ConsumerSettings) -> None:
    engine = open_producer_engine(producer_settings.database_url.get_secret_value())
    await migrate_producer(engine)
    await engine.dispose()
    engine = open_consumer_engine(consumer_settings.database_url)
    await migrate_consumer(engine)
    await engine.dispose()
