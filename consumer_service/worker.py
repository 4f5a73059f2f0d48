"""The composition root of the consumer service, and the life of one worker: open, consume, drain, close."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.consumer import Consumer
from consumer_service.correspondence import Correspondence
from consumer_service.dispatch import AnyTask, Dispatcher
from consumer_service.effects.mailer import Mailer
from consumer_service.effects.webhook import open_webhook
from consumer_service.execution import Execution
from consumer_service.health import Check, health_app
from consumer_service.inbox import Inbox
from consumer_service.metrics import ConsumerMetrics
from consumer_service.migrations import is_at_head
from consumer_service.presence import present, worker_name
from consumer_service.quarantine import Quarantine
from consumer_service.queues import lanes_of, queue_name, topology_of
from consumer_service.registry import mail_tasks, notification_tasks
from consumer_service.rendering import MailTemplates
from consumer_service.retention import forget_for_ever
from consumer_service.settings import Settings
from consumer_service.supervisor import Supervisor
from consumer_service.tokens import Tokens
from shared.errors import BrokerUnavailable, SessionLost, TidingsError
from shared.loop import watch_lag
from shared.transport import Transport

log: Any = structlog.get_logger()


@asynccontextmanager
async def open_tasks(settings: Settings, families: Sequence[str]) -> AsyncIterator[tuple[AnyTask, ...]]:
    """Open the effects that these families need, and build their tasks. Raises ValueError for a setting that is wrong.

    `Settings.missing_for` must have found nothing missing.
    """
    tasks: tuple[AnyTask, ...] = ()
    async with AsyncExitStack() as opened:
        if "mail" in families:
            tasks += mail_tasks(
                mailer=Mailer(settings.mail_url or ""),
                correspondence=Correspondence(templates=MailTemplates(), sender=settings.mail_from or ""),
                tokens=Tokens(secret=_revealed(settings.link_secret), base_url=settings.link_base_url or ""),
            )
        if "notification" in families:
            webhook = open_webhook(settings.webhook_url or "", _revealed(settings.webhook_secret))
            tasks += notification_tasks(webhook=await opened.enter_async_context(webhook))
        yield tasks


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


class Worker:
    """Consumes the queues of its tasks, each independently of the others, until it is told to stop."""

    def __init__(
        self, *, settings: Settings, transport: Transport, engine: AsyncEngine, tasks: Sequence[AnyTask]
    ) -> None:
        """Build one consumer per family and lane. Raises ValueError when tasks or settings contradict each other."""
        self._settings = settings
        self._transport = transport
        self._engine = engine
        self._tasks = tasks
        self._started = self._migrated = False
        self.registry = CollectorRegistry()
        self.name = worker_name()
        metrics, inbox, quarantine = ConsumerMetrics(self.registry), Inbox(engine, worker=self.name), Quarantine()
        self._loop_lag = metrics.loop_lag
        self._inbox_rows = metrics.inbox_rows
        self._consumers: list[Consumer] = []
        self._supervisors: list[Supervisor] = []
        for family in dict.fromkeys(task.queue for task in tasks):
            members = [task for task in tasks if task.queue == family]
            for lane in lanes_of([type(task) for task in members]):
                consumer = Consumer(
                    queue=queue_name(family, lane),
                    dispatcher=Dispatcher(members),
                    inbox=inbox,
                    execution=Execution(inbox),
                    quarantine=quarantine,
                    metrics=metrics,
                    concurrency=settings.concurrency_in(lane),
                )
                prefetch = settings.prefetch_for(max(task.timeout for task in members), lane)
                self._consumers.append(consumer)
                self._supervisors.append(
                    Supervisor(transport=transport, consumer=consumer, prefetch=prefetch, metrics=metrics)
                )

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, drain within the grace period, and leave.

        Starts with broker and database away, and waits for both. Consumes nothing before its heartbeat is seen, or
        others would take over what it holds. Raises when a consumer ended by a bug.
        """
        if self._settings.apply_topology:
            await self._apply_topology(stop)
        queues = ", ".join(consumer.queue for consumer in self._consumers)
        async with present(self._engine, worker=self.name, queues=queues) as seen, asyncio.TaskGroup() as group:
            await _either(seen, stop)
            working = [group.create_task(consumer.run(), name=consumer.queue) for consumer in self._consumers]
            keep, replayable = self._settings.inbox_retention, self._settings.replayable
            forgetting = forget_for_ever(
                self._engine, keep=keep, replayable=replayable, remembered=self._inbox_rows.set
            )
            working.append(group.create_task(forgetting, name="forgetting"))
            working.append(group.create_task(watch_lag(self._loop_lag.observe), name="watching the loop"))
            self._started = True
            async with asyncio.TaskGroup() as supervising:
                for supervisor in self._supervisors:
                    supervising.create_task(supervisor.run(stop, grace_seconds=self._settings.drain_seconds))
            for each in working:
                each.cancel()
        log.info("worker.stopped", worker=self.name)

    async def _apply_topology(self, stop: asyncio.Event) -> None:
        topology = topology_of([type(task) for task in self._tasks])
        while not stop.is_set():
            try:
                await self._transport.apply(topology)
            except BrokerUnavailable as error:
                log.warning("topology.not_applied", error=str(error))
                await asyncio.sleep(1)
            else:
                return

    async def is_consuming(self) -> bool:
        """Whether the broker sees us consuming every queue, now."""
        try:
            for supervisor in self._supervisors:
                await supervisor.check()
        except SessionLost:
            return False
        return True

    def health(self) -> FastAPI:
        """Return the health app: ready means that the broker sees us consuming every queue."""
        checks: dict[str, Check] = {supervisor.queue: supervisor.check for supervisor in self._supervisors}
        return health_app(
            checks={"database": self._check_database, "migrations": self._check_migrations, **checks},
            started=lambda: self._started,
            registry=self.registry,
        )

    async def _check_database(self) -> str:
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return "answers"

    async def _check_migrations(self) -> str:
        """Once the database has the tables this code needs, it is not asked again."""
        self._migrated = self._migrated or await is_at_head(self._engine)
        if not self._migrated:
            raise TidingsError("the database is behind; run `python -m consumer_service migrate`")
        return "at head"


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
