"""A service that ends itself by SIGKILL at a named point of its way, the n-th time it passes there.

    TIDINGS_DOOM=P3:1 python -m faults.doomed api | relay | worker

| point | the process ends                                                                       |
|-------|----------------------------------------------------------------------------------------|
| P1    | after the business row was inserted, before the outbox row                             |
| P2    | after the commit, before the HTTP response                                             |
| P3    | after rows were claimed, before they are published                                     |
| P5    | after they were confirmed, before they are marked                                      |
| P6    | after they were marked, before that is committed                                       |
| C1    | after a delivery arrived, before the inbox hears of it                                 |
| C2    | after the inbox has committed that a mail is being sent, before it is                  |
| C3    | in the middle of a database effect                                                     |
| C4    | after a database effect, before its commit                                             |
| C5    | after the commit, before the ack                                                       |
| C6    | after the mail server took the mail, before that is committed                          |
| C7    | after the copy on a rung was confirmed, before the ack                                 |
| C8    | after the copy in dead letters was confirmed, before the ack                           |

P4, after the bytes were written and before the confirm, needs no point here: whoever waits in front of the broker
lets no confirm through, sees the message arrive, and kills the process. Nothing in the services knows of any of this:
the points lie on the transport's protocol, on SQLAlchemy's events and on the mailer that a task is given.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session
from support.bookkeeping import Bookkeeping

from consumer_service.correspondence import Correspondence
from consumer_service.database import open_engine
from consumer_service.dispatch import AnyTask
from consumer_service.effects.mailer import Mailer
from consumer_service.mail import Mail
from consumer_service.registry import mail_tasks
from consumer_service.rendering import MailTemplates
from consumer_service.settings import Settings
from consumer_service.settings import load_settings as load_consumer_settings
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.tokens import Tokens
from consumer_service.worker import Worker
from producer_service.app import producer, relay_alone
from producer_service.serving import serve, stopped_by_signals
from producer_service.settings import ApiSettings, load_standalone_settings
from producer_service.settings import Settings as RelaySettings
from shared.backends.rabbitmq import RabbitTransport
from shared.contracts import Lane
from shared.logs import configure_logs
from shared.transport import Delivery, Fate, Outgoing, Publisher, Receipt, Subscription

VARIABLE = "TIDINGS_DOOM"


class Doom:
    """Ends this process when it passes one point for the n-th time."""

    def __init__(self, point: str, passing: int) -> None:
        self._point = point
        self._left = passing

    def passes(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DoomedPublisher:
    """Publishes, and passes the points before and after."""

    def __init__(self, inner: Publisher, doom: Doom) -> None:
        self._inner = inner
        self._doom = doom

    @property
    def blocked(self) -> bool:
        return self._inner.blocked

    @property
    def sessions(self) -> int:
        return self._inner.sessions

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        self._doom.passes("P3")
        receipts = await self._inner.publish(messages)
        for outgoing, receipt in zip(messages, receipts, strict=True):
            if receipt.fate is Fate.CONFIRMED:
                self._doom.passes(_after_confirm(outgoing.exchange))
        return receipts


def _after_confirm(exchange: str) -> str:
    return {"domain": "P5", "retry": "C7", "dead": "C8"}[exchange.partition(".")[0]]


class DoomedSubscription:
    """One session, whose deliveries and acks pass points; everything else goes to the session itself."""

    def __init__(self, inner: Subscription, doom: Doom) -> None:
        self._inner = inner
        self._doom = doom

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def take(self, most: int) -> Sequence[Delivery]:
        deliveries = await self._inner.take(most)
        self._doom.passes("C1")
        return [replace(delivery, subscription=self) for delivery in deliveries]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._doom.passes("C5")
        await self._inner.ack(deliveries)


class DoomedTransport(RabbitTransport):
    """A broker whose publishers and sessions are doomed."""

    def __init__(self, url: str, *, doom: Doom) -> None:
        super().__init__(url, name="doomed")
        self._doom = doom

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Any]:
        async with super().publisher() as publisher:
            yield DoomedPublisher(publisher, self._doom)

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator[Any]:
        async with super().subscribe(queue, prefetch=prefetch) as subscription:
            yield DoomedSubscription(subscription, self._doom)


class DoomedMailer(Mailer):
    """A mailer with a point on either side of the mail server."""

    def __init__(self, url: str, *, doom: Doom) -> None:
        super().__init__(url)
        self._doom = doom

    async def send(self, mail: Mail) -> None:
        self._doom.passes("C2")
        await super().send(mail)
        self._doom.passes("C6")


class Transactions:
    """Passes the points that lie inside a transaction, on every engine of this process."""

    def __init__(self, doom: Doom) -> None:
        self._doom = doom

    def watch(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)
        event.listen(Engine, "commit", self._committing)
        event.listen(Engine, "rollback", self._forget)
        event.listen(Session, "after_commit", lambda _session: self._doom.passes("P2"))

    def _before(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO outbox"):
            self._doom.passes("P1")
        connection.info.setdefault("written", []).append(statement)

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO effects"):
            self._doom.passes("C3")

    def _committing(self, connection: Any) -> None:
        written = self._forget(connection)
        for point, beginning, about in (("P6", "UPDATE outbox", "published_at"), ("C4", "INSERT INTO effects", "")):
            if any(statement.startswith(beginning) and about in statement for statement in written):
                self._doom.passes(point)

    def _forget(self, connection: Any) -> list[str]:
        written: list[str] = connection.info.pop("written", [])
        return written


async def run_api(doom: Doom) -> None:
    """Run the API; whether with a relay, its settings say."""
    settings = load_standalone_settings(ApiSettings)
    transport = DoomedTransport(settings.broker_url.get_secret_value(), doom=doom)
    await _serve(lambda stopping: producer(settings, transport, stopping=stopping), settings.http_port)


async def run_relay(doom: Doom) -> None:
    """Run a relay on its own."""
    settings = load_standalone_settings(RelaySettings)
    transport = DoomedTransport(settings.broker_url.get_secret_value(), doom=doom)
    await _serve(lambda stopping: relay_alone(settings, transport, stopping=stopping), settings.relay_http_port)


async def _serve(root: Callable[[asyncio.Event], Any], port: int) -> None:
    stopping = asyncio.Event()
    with stopped_by_signals(stopping):
        async with root(stopping) as app:
            await serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0)


async def run_worker(doom: Doom) -> None:
    """Run a worker with one task of the product and one of ours; it serves no health."""
    settings, stop = load_consumer_settings(Settings), asyncio.Event()
    engine = open_engine(
        settings.database_url, pool_size=settings.connections_for([Lane.NORMAL, Lane.BULK, Lane.NORMAL])
    )
    transport = DoomedTransport(settings.broker_url, doom=doom)
    worker = Worker(settings=settings, transport=transport, engine=engine, tasks=_tasks(settings, doom))
    with stopped_by_signals(stop):
        await worker.run(stop)
    await engine.dispose()


def _tasks(settings: Settings, doom: Doom) -> list[AnyTask]:
    secret = settings.link_secret.get_secret_value() if settings.link_secret else ""
    tasks = mail_tasks(
        mailer=DoomedMailer(settings.mail_url or "", doom=doom),
        correspondence=Correspondence(templates=MailTemplates(), sender=settings.mail_from or ""),
        tokens=Tokens(secret=secret, base_url=settings.link_base_url or ""),
    )
    return [*(task for task in tasks if isinstance(task, SendVerificationMail)), Bookkeeping()]


SERVICES: Mapping[str, Callable[[Doom], Awaitable[None]]] = {
    "api": run_api,
    "relay": run_relay,
    "worker": run_worker,
}


async def main(service: str) -> None:
    point, _, passing = os.environ[VARIABLE].partition(":")
    doom = Doom(point, int(passing or 1))
    configure_logs(service)
    Transactions(doom).watch()
    await SERVICES[service](doom)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
