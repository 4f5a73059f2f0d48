"""Where an operator works on dead letters: broker and database, and what has come in since the last time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import typer
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.command_line.door import open_broker
from consumer_service.database import open_engine
from consumer_service.dead_letters.collecting import Collector
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.dead_letters.readers import Readers
from consumer_service.registry import TASKS
from consumer_service.retention import expire
from consumer_service.settings import Settings
from shared.errors import TidingsError
from shared.transport import Transport

CONNECTIONS = 4
"""One for each queue that is collected from, one for the question that was asked."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command may need. Opened for one command, and closed after it."""

    settings: Settings
    transport: Transport
    engine: AsyncEngine
    readers: Readers
    collector: Collector
    troubles: set[str] = field(default_factory=set)

    async def collect(self) -> None:
        """Bring what stands in the broker into the table; where that cannot be done, say so, and do without."""
        await asyncio.gather(*(self.collect_from(queue) for queue in self.readers.queues))

    async def collect_from(self, queue: str) -> None:
        """Do the same for one queue. Says each trouble once."""
        try:
            await self.collector.collect_standing(queue)
        except TidingsError as error:
            self._say_once(f"{type(error).__name__}: {error}")

    def _say_once(self, trouble: str) -> None:
        if trouble not in self.troubles:
            self.troubles.add(trouble)
            typer.echo(f"note: dead letters in the broker are not shown, only the table ({trouble})", err=True)


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    """Open the desk, bring in what has come since, and let expire what is too old to be replayed.

    Exits with code 2 for settings that are wrong.
    """
    settings, transport = open_broker(Settings, quiet=True)
    engine, readers = open_engine(settings.database_url, pool_size=CONNECTIONS), Readers(TASKS)
    metrics = DeadLetterMetrics(CollectorRegistry())
    collector = Collector(transport=transport, engine=engine, readers=readers, metrics=metrics)
    try:
        desk = Desk(settings, transport, engine, readers, collector)
        await desk.collect()
        await expire(engine, replayable=settings.replayable)
        yield desk
    finally:
        await engine.dispose()


def say(lines: Sequence[str]) -> None:
    """Print these lines."""
    for line in lines:
        typer.echo(line)
