"""Nouns of the consumer's core: a migrated database, and consumers that run as long as a test needs them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from support.builders import a_queue, a_topology
from support.inboxes import JournalInbox, is_alive
from support.schemas import Schema
from support.tasks import EFFECTS
from support.transports import WatchedTransport

from consumer_service.consumer import Consumer
from consumer_service.database import open_engine
from consumer_service.dispatch import AnyTask, Dispatcher
from consumer_service.execution import Execution
from consumer_service.inbox import Inbox
from consumer_service.metrics import ConsumerMetrics
from consumer_service.migrations import VERSION_TABLE, configuration
from consumer_service.models import Base
from consumer_service.quarantine import Quarantine
from consumer_service.supervisor import Pace, Supervisor
from consumer_service.upcasters import Upcaster

HASTY = Pace(shortest_pause=0.01, longest_pause=0.05, watch=0.02, silent=30.0)


@pytest.fixture(scope="session")
def schema() -> Schema:
    newest = ScriptDirectory.from_config(configuration()).get_current_head()
    return Schema(VERSION_TABLE, newest or "", Base.metadata, EFFECTS.metadata)


@pytest.fixture
async def engine(database_url: str, schema: Schema) -> AsyncIterator[AsyncEngine]:  # noqa: ARG001 - is laid by it
    """A database as migrations leave it, with the table that the tests' own tasks write to."""
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def postgres_engine(postgres_url: str, schema: Schema) -> AsyncIterator[AsyncEngine]:  # noqa: ARG001 - laid by it
    engine = open_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def no_database() -> AsyncIterator[AsyncEngine]:
    """A database that is away."""
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    yield engine
    await engine.dispose()


@pytest.fixture
def no_inbox(no_database: AsyncEngine) -> Inbox:
    """An inbox whose database is away, for what must not need it."""
    return Inbox(no_database, worker="this")


@pytest.fixture
def without_database(no_inbox: Inbox) -> Execution:
    """An execution whose database is away."""
    return Execution(no_inbox)


@pytest.fixture
async def inbox(engine: AsyncEngine) -> Inbox:
    """The inbox of a worker that is alive."""
    await is_alive(engine, "this")
    return Inbox(engine, worker="this")


@pytest.fixture
async def other(engine: AsyncEngine) -> Inbox:
    """The inbox of another worker that is alive."""
    await is_alive(engine, "other")
    return Inbox(engine, worker="other")


@pytest.fixture
async def transport() -> WatchedTransport:
    """A broker with the queues of two families."""
    transport = WatchedTransport()
    await transport.apply(a_topology(a_queue("consumer.mail"), a_queue("consumer.notification")))
    return transport


@dataclass
class Consuming:
    """One consumer, running, and what is around it."""

    consumer: Consumer
    transport: WatchedTransport
    supervisor: Supervisor
    registry: CollectorRegistry
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"queue": self.consumer.queue, **labels}) or 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is held, on its way back, or waiting to be delivered."""
        queue = self.consumer.queue
        return self.consumer.has_room(1) and not self.transport.on_its_way and not self.transport.waiting(queue)


Consume = Callable[..., AbstractAsyncContextManager[Consuming]]


@pytest.fixture
def consume(engine: AsyncEngine, transport: WatchedTransport) -> Consume:
    """Run a consumer of these tasks; stop it, within the grace period, at the end of the block."""
    return consuming_from(engine, transport)


@pytest.fixture
def consuming() -> Callable[[AsyncEngine, WatchedTransport], Consume]:
    """The same for a test that makes its own transport."""
    return consuming_from


def consuming_from(engine: AsyncEngine, transport: WatchedTransport) -> Consume:
    @asynccontextmanager
    async def consume(
        *tasks: AnyTask,
        inbox: Inbox | None = None,
        quarantine: Quarantine | None = None,
        concurrency: int = 8,
        prefetch: int = 100,
        grace_seconds: float = 5.0,
        upcasters: Sequence[Upcaster] = (),
    ) -> AsyncIterator[Consuming]:
        await is_alive(engine, "this")
        inbox = inbox or JournalInbox(engine, worker="this", journal=transport.journal)
        registry = CollectorRegistry()
        metrics = ConsumerMetrics(registry)
        consumer = Consumer(
            queue=f"consumer.{tasks[0].queue}",
            dispatcher=Dispatcher(tasks, upcasters),
            inbox=inbox,
            execution=Execution(inbox, draw=lambda: 0.5),
            quarantine=quarantine or Quarantine(),
            metrics=metrics,
            concurrency=concurrency,
            pause_seconds=0.05,
        )
        supervisor = Supervisor(transport=transport, consumer=consumer, prefetch=prefetch, metrics=metrics, pace=HASTY)
        consuming = Consuming(consumer, transport, supervisor, registry)
        running = asyncio.create_task(consumer.run())
        supervising = asyncio.create_task(supervisor.run(consuming.stop, grace_seconds=grace_seconds))
        try:
            yield consuming
        finally:
            consuming.stop.set()
            await _ended(supervising)
            running.cancel()
            await _ended(running)

    return consume


async def _ended(task: "asyncio.Task[Any]") -> None:
    """Wait for its end, and raise whatever it raised but for its own cancellation."""
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is not None:
        task.result()
