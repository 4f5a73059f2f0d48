"""Assignments for an inbox, what it holds, and inboxes that note what is recorded or fail as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from support.builders import a_message
from support.tasks import RecordingTask
from support.transports import Journal, RecordingSubscription, a_delivery

from consumer_service.claim import Status, Verdict
from consumer_service.dispatch import AnyTask, Assignment, Dispatcher, Key
from consumer_service.inbox import Inbox
from consumer_service.inbox_rows import Finish
from consumer_service.models import InboxMessage, WorkerRow
from consumer_service.presence import beat
from shared.contracts import Contract
from shared.envelope import Envelope
from shared.transport import Message


def an_assignment(
    envelope: Envelope[Contract] | None = None,
    *,
    task: AnyTask | None = None,
    message: Message | None = None,
    redelivered: bool = False,
    subscription: RecordingSubscription | None = None,
) -> Assignment:
    delivery = a_delivery(message or a_message(envelope), redelivered=redelivered, subscription=subscription)
    found = Dispatcher([task or RecordingTask()]).dispatch(delivery)
    assert isinstance(found, Assignment), found
    return found


async def remembered(engine: AsyncEngine, key: Key | None = None) -> Row[Any] | None:
    """Return the row of this pair, or the only row there is."""
    statement = select(InboxMessage.__table__)
    if key is not None:
        statement = statement.where(InboxMessage.task == key.task, InboxMessage.message_id == key.message_id)
    async with engine.connect() as connection:
        return (await connection.execute(statement)).one_or_none()


async def statuses(engine: AsyncEngine) -> dict[str, str]:
    """Return the status of every message in the inbox, by its id."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(InboxMessage.message_id, InboxMessage.status))
        return {row.message_id: row.status for row in rows}


async def is_alive(engine: AsyncEngine, worker: str) -> None:
    """Let this worker's heart beat once, now."""
    await beat(engine, worker=worker, queues="consumer.mail")


async def was_last_seen(engine: AsyncEngine, worker: str, ago: timedelta) -> None:
    """Let this worker's last heartbeat be this long ago, by the database's clock."""
    await is_alive(engine, worker)
    async with engine.begin() as connection:
        await connection.execute(update(WorkerRow).where(WorkerRow.id == worker).values(seen_at=long_ago(engine, ago)))


def long_ago(engine: AsyncEngine, ago: timedelta) -> Any:
    """Return the moment that was so long ago, by the database's clock."""
    seconds = int(ago.total_seconds())
    if engine.dialect.name == "sqlite":
        return func.datetime("now", f"-{seconds} seconds")
    return text(f"now() - interval '{seconds} seconds'")


async def has_left(engine: AsyncEngine, worker: str) -> None:
    """Let this worker leave no trace but the rows it held."""
    async with engine.begin() as connection:
        await connection.execute(delete(WorkerRow).where(WorkerRow.id == worker))


class JournalInbox(Inbox):
    """Notes what it has committed in the journal that it shares with a transport."""

    def __init__(self, engine: AsyncEngine, *, worker: str, journal: Journal) -> None:
        super().__init__(engine, worker=worker)
        self._journal = journal

    async def finish(self, finishes: Sequence[Finish]) -> None:
        await super().finish(finishes)
        self._journal += [(f"recorded {finish.status}", finish.key.message_id) for finish in finishes]


class CountingInbox(Inbox):
    """Notes how many ends each record was for."""

    def __init__(self, engine: AsyncEngine, *, worker: str) -> None:
        super().__init__(engine, worker=worker)
        self.finished: list[int] = []

    async def finish(self, finishes: Sequence[Finish]) -> None:
        await super().finish(finishes)
        self.finished.append(len(finishes))


class FailingInbox(JournalInbox):
    """Cannot record anything for as long as `is_away`; counts how often it was asked to."""

    is_away = True
    tries = 0

    async def finish(self, finishes: Sequence[Finish]) -> None:
        self.tries += 1
        if self.is_away:
            raise OperationalError("UPDATE inbox", None, Exception("the database is away"))
        await super().finish(finishes)


class LingeringEngine:
    """Commits, and takes its time to say so."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.dialect = engine.dialect
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            yield connection
        await self.committed()

    async def raw_connection(self) -> "BorrowedConnection":
        return BorrowedConnection(await self._engine.raw_connection(), committed=self.committed)

    async def committed(self) -> None:
        """Keep whoever has committed waiting."""
        await asyncio.sleep(0.1)


class BorrowedConnection:
    """A pool's connection, and its driver: every statement commits, and what it brought is handed over after that."""

    def __init__(self, borrowed: Any, *, committed: Callable[[], Awaitable[None]]) -> None:
        self._borrowed = borrowed
        self._committed = committed
        self.driver_connection = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._borrowed, name)

    async def fetch(self, text: str, *values: Any) -> Any:
        rows = await self._borrowed.driver_connection.fetch(text, *values)
        await self._committed()
        return rows


class ForgetfulEngine(LingeringEngine):
    """Commits the first time and then says that it could not, as a database does that is lost with its answer."""

    loses_its_answer = True

    async def committed(self) -> None:
        if self.loses_its_answer:
            self.loses_its_answer = False
            raise OperationalError("COMMIT", None, Exception("the answer was lost"))


def an_inbox_on(engine: LingeringEngine) -> Inbox:
    """Return the inbox of worker `this` on an engine that misbehaves."""
    return Inbox(cast("AsyncEngine", engine), worker="this")


class SlowInbox(Inbox):
    """Lets nothing start before it is told to answer; counts how often it was asked."""

    def __init__(self, engine: AsyncEngine, *, worker: str) -> None:
        super().__init__(engine, worker=worker)
        self.answer = asyncio.Event()
        self.asked = 0

    async def start(self, wanted: Sequence[Assignment], *, alone: bool = False) -> list[Verdict]:
        self.asked += 1
        await self.answer.wait()
        return await super().start(wanted, alone=alone)


class SilentInbox(Inbox):
    """Lets nothing start for as long as `is_away`; counts how often it was asked."""

    is_away = True
    asked = 0

    async def start(self, wanted: Sequence[Assignment], *, alone: bool = False) -> list[Verdict]:
        self.asked += 1
        if self.is_away:
            raise OperationalError("INSERT INTO inbox", None, Exception("the database is away"))
        return await super().start(wanted, alone=alone)


def done(*assignments: Assignment) -> list[Finish]:
    return [Finish(assignment, Status.DONE) for assignment in assignments]


def waiting(*assignments: Assignment) -> list[Finish]:
    return [Finish(assignment, Status.WAITING, "later") for assignment in assignments]


def dead(*assignments: Assignment) -> list[Finish]:
    return [Finish(assignment, Status.DEAD, "never") for assignment in assignments]
