"""The life of a collector process: every queue of dead letters on a session of its own, until it is told to stop."""

import asyncio
from collections.abc import Callable
from random import uniform
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.database import DATABASE_ERRORS
from consumer_service.dead_letters.collecting import AT_ONCE, Collector
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.dead_letters.readers import Readers
from consumer_service.health import Check, health_app
from shared.errors import SessionLost, TopologyError, TransportError
from shared.transport import Subscription, Transport

LONGEST_PAUSE_SECONDS = 30.0
MEASURE_SECONDS = 15.0
"""How often the gauges are set; as often as Prometheus asks by default."""

log: Any = structlog.get_logger()


class CollectorProcess:
    """Collects until it is stopped. Broker and database may be away, at the start and later: it waits for both."""

    def __init__(
        self,
        *,
        transport: Transport,
        engine: AsyncEngine,
        readers: Readers,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
        measure_seconds: float = MEASURE_SECONDS,
    ) -> None:
        """Open nothing yet."""
        self.registry = CollectorRegistry()
        self._metrics = DeadLetterMetrics(self.registry)
        self._collector = Collector(transport=transport, engine=engine, readers=readers, metrics=self._metrics)
        self._transport = transport
        self._engine = engine
        self._queues = readers.queues
        self._sessions: dict[str, Subscription] = {}
        self._longest_pause_seconds = longest_pause_seconds
        self._measure_seconds = measure_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set. What was taken and not committed then goes back to the broker."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._serve(queue), name=f"{queue}.dead") for queue in self._queues]
            running.append(group.create_task(self._measure(), name="measuring"))
            await stop.wait()
            for each in running:
                each.cancel()
        log.info("collector.stopped")

    async def _serve(self, queue: str) -> None:
        trouble, ceiling = "", 1.0
        while True:
            try:
                await self._one_session(queue)
            except (TransportError, TopologyError, *DATABASE_ERRORS) as error:
                said = str(error) if isinstance(error, TransportError | TopologyError) else type(error).__name__
                if said != trouble:
                    log.warning("collector.not_collecting", queue=queue, error=said)
                ceiling = min(ceiling * 2, self._longest_pause_seconds) if said == trouble else 1.0
                trouble = said
            await asyncio.sleep(uniform(0, min(ceiling, self._longest_pause_seconds)))  # noqa: S311 - spreads load

    async def _one_session(self, queue: str) -> None:
        async with self._transport.subscribe(f"{queue}.dead", prefetch=AT_ONCE) as dead:
            self._sessions[queue] = dead
            log.info("collector.collecting", queue=queue)
            try:
                await self._collector.collect(queue, dead)
            finally:
                del self._sessions[queue]

    async def _measure(self) -> None:
        while True:
            try:
                await self._metrics.measure(self._engine, self._queues)
            except DATABASE_ERRORS as error:
                log.warning("collector.not_measured", error=type(error).__name__)
            await asyncio.sleep(self._measure_seconds)

    def health(self) -> FastAPI:
        """Return the health app: ready means that the broker sees us collecting every queue of dead letters."""
        checks: dict[str, Check] = {f"{queue}.dead": self._check(queue) for queue in self._queues}
        return health_app(
            checks={"database": self._check_database, **checks}, started=lambda: True, registry=self.registry
        )

    def _check(self, queue: str) -> Callable[[], Any]:
        async def check() -> str:
            dead = self._sessions.get(queue)
            if dead is None or dead.ended:
                raise SessionLost("the session has ended")
            state = await dead.inspect()
            return f"{state.consumers} consumers, {state.messages} messages waiting"

        return check

    async def _check_database(self) -> str:
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return "answers"
