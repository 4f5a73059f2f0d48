"""Our producer's parts, put together as its composition root does: a unit of work, and a relay that it wakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.contenders.contract import Errand
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from producer_service.claims import CLAIMING, Claims
from producer_service.database import open_engine
from producer_service.metrics import Metrics
from producer_service.outbox import Outbox
from producer_service.relay import Pace, Relay
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.backends import open_transport

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Producing:
    """What a use case needs, while the relay runs."""

    engine: AsyncEngine
    outbox: Outbox
    metrics: Metrics
    wake: asyncio.Event

    def unit_of_work(self, travel: Travel) -> UnitOfWork:
        """Open one transaction that wakes the relay when it commits."""
        sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        return UnitOfWork(
            sessions=sessions, source="/tidings/bench", travel=travel, committed=lambda _lanes: self.wake.set()
        )


@asynccontextmanager
async def producing(errand: Errand) -> AsyncIterator[Producing]:
    """Run a relay for as long as the context lasts."""
    engine, stop = open_engine(errand.database_url), asyncio.Event()
    claiming = open_engine(errand.database_url, session=CLAIMING)
    parts = Producing(engine, Outbox(engine), Metrics(CollectorRegistry()), asyncio.Event())
    async with open_transport(errand.broker_url, name="tidings producer").publisher() as publisher:
        relay = Relay(
            outbox=parts.outbox,
            claims=Claims(claiming),
            publisher=publisher,
            metrics=parts.metrics,
            wake=parts.wake,
            retention=KEPT,
            pace=Pace(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run(stop))
            yield parts
            stop.set()
    await claiming.dispose()
    await engine.dispose()
