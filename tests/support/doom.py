"""Points on a service's way, at which it may end itself by SIGKILL.

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
| A2 A6 | as C2 and C6, at a call that is made at most once                                      |
| N2 N6 | as C2 and C6, at a call that is made at least once                                     |
| I3 I4 | as C3 and C4, at a batch                                                               |

P4, after the bytes were written and before the confirm, needs no point here: whoever waits in front of the broker
lets no confirm through, sees the message arrive, and kills the process. Nothing in the services knows of any of this:
the points lie on the transport's protocol, on SQLAlchemy's events and on the effects that a task is given. A collector
passes C1 and C5 as a worker does.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from consumer_service.effects.mailer import Mailer
from consumer_service.effects.webhook import Webhook
from consumer_service.mail import Mail
from shared.backends.rabbitmq import RabbitTransport
from shared.transport import Delivery, Fate, Outgoing, Publisher, Receipt, Subscription

COMMITS = (
    ("P6", "UPDATE outbox", "published_at"),
    ("C4", "INSERT INTO effects", ""),
    ("I4", "INSERT INTO index_entries", ""),
)
"""A point, and what begins the statement, and what else stands in it, whose commit is the point."""


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


class DoomedWebhook(Webhook):
    """A webhook with a point on either side of the receiver."""

    def __init__(self, inner: Webhook, letter: str, doom: Doom) -> None:
        self._inner = inner
        self._letter = letter
        self._doom = doom

    async def post(self, kind: str, body: Mapping[str, object], idempotency_key: str) -> None:
        self._doom.passes(f"{self._letter}2")
        await self._inner.post(kind, body, idempotency_key)
        self._doom.passes(f"{self._letter}6")


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
        event.listen(Pool, "connect", self._follow)

    def _follow(self, connection: Any, _record: Any) -> None:
        """Hear, too, what is said to the driver past SQLAlchemy."""
        if isinstance(connection.driver_connection, asyncpg.Connection):
            connection.driver_connection.__class__ = heard_by(self._said)

    def _said(self, written: list[str], statement: str) -> None:
        if statement == "COMMIT;":
            self._pass_commits(written)
            written.clear()
        else:
            written.append(statement)

    def _before(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO outbox"):
            self._doom.passes("P1")
        connection.info.setdefault("written", []).append(statement)

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        for point, table in (("C3", "effects"), ("I3", "index_entries")):
            if statement.startswith(f"INSERT INTO {table}"):
                self._doom.passes(point)

    def _committing(self, connection: Any) -> None:
        self._pass_commits(self._forget(connection))

    def _pass_commits(self, written: Sequence[str]) -> None:
        for point, beginning, about in COMMITS:
            if any(statement.startswith(beginning) and about in statement for statement in written):
                self._doom.passes(point)

    def _forget(self, connection: Any) -> list[str]:
        written: list[str] = connection.info.pop("written", [])
        return written


@cache
def heard_by(said: Callable[[list[str], str], None]) -> type[asyncpg.Connection]:
    """Return the kind of connection that says each statement before it is sent, with those said on it before."""
    written: WeakKeyDictionary[asyncpg.Connection, list[str]] = WeakKeyDictionary()

    class HeardConnection(asyncpg.Connection):
        __slots__ = ()

        async def fetch(self, query: str, *values: Any, **options: Any) -> Any:
            said(written.setdefault(self, []), query)
            return await super().fetch(query, *values, **options)

        async def execute(self, query: str, *values: Any, **options: Any) -> Any:
            said(written.setdefault(self, []), query)
            return await super().execute(query, *values, **options)

    return HeardConnection
