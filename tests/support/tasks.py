"""Small tasks that record what they were asked to do, and fail, hang or write as they are told."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from sqlalchemy import Column, Connection, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.outcome import PermanentFailure
from consumer_service.retry import RetryPolicy
from consumer_service.task import BatchTask, Context, Guarantee, Task
from shared.events import UserCreated, UserEmailVerified

QUICK = RetryPolicy(limit=3, first=timedelta(seconds=0.02), growth=1.0, jitter=0.0)

EFFECTS = Table("effects", MetaData(), Column("message_id", String(255), nullable=False))
"""What a transactional task writes: a row per effect, so that a repeated one is seen."""


class RecordingTask(Task[UserCreated]):
    """Keeps the context of every run. Raises the given errors first, one per run; None is a run without one."""

    queue: ClassVar[str] = "mail"
    retry: ClassVar[RetryPolicy] = QUICK

    def __init__(self, *errors: BaseException | None) -> None:
        self.contexts: list[Context] = []
        self._errors = deque(errors)

    @property
    def runs(self) -> Counter[str]:
        """How often each message was worked on."""
        return Counter(context.envelope.id for context in self.contexts)

    async def run(self, _message: UserCreated, context: Context) -> None:
        self.contexts.append(context)
        error = self._errors.popleft() if self._errors else None
        if error is not None:
            raise error


class AtMostOnceTask(RecordingTask):
    """Must not be repeated."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_MOST_ONCE


class WelcomeTask(Task[UserEmailVerified]):
    """Takes another message than the others, from the same queue."""

    queue: ClassVar[str] = "mail"

    async def run(self, _message: UserEmailVerified, _context: Context) -> None:
        """Do nothing."""


class TransactionalTask(RecordingTask):
    """Writes a row to `effects` in the inbox's transaction, and only then raises its error."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run(self, message: UserCreated, context: Context) -> None:
        await context.session.execute(insert(EFFECTS).values(message_id=context.envelope.id))
        await super().run(message, context)


class BatchRecordingTask(BatchTask[UserCreated]):
    """Keeps the ids of every batch. A batch that holds one of `refuses` fails for good."""

    queue: ClassVar[str] = "mail"
    retry: ClassVar[RetryPolicy] = QUICK

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.contexts: list[Context] = []
        self.refuses: set[str] = set()

    async def run_batch(self, _messages: Sequence[UserCreated], contexts: Sequence[Context]) -> None:
        ids = [context.envelope.id for context in contexts]
        self.batches.append(ids)
        self.contexts += contexts
        if self.refuses & set(ids):
            raise PermanentFailure("refused")


class TransactionalBatchTask(BatchRecordingTask):
    """Writes all its rows in one statement, and only then fails if it does."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run_batch(self, messages: Sequence[UserCreated], contexts: Sequence[Context]) -> None:
        rows = [{"message_id": context.envelope.id} for context in contexts]
        await contexts[0].session.execute(insert(EFFECTS), rows)
        await super().run_batch(messages, contexts)


class HangingTask(RecordingTask):
    """Runs until it is let go. `started` counts what began, `most_at_once` how many ran side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.started = 0
        self.most_at_once = 0
        self._running = 0

    async def run(self, message: UserCreated, context: Context) -> None:
        self.started += 1
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            await self.let_go.wait()
        finally:
            self._running -= 1
        await super().run(message, context)


class HangingAtMostOnceTask(HangingTask):
    """Hangs during an effect that must not be repeated."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_MOST_ONCE


class HangingTransactionalTask(HangingTask):
    """Hangs in the middle of the inbox's transaction."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL


class ImpatientTask(HangingTask):
    """Hangs longer than it may."""

    timeout: ClassVar[timedelta] = timedelta(seconds=0.05)


async def create_effects(engine: AsyncEngine) -> None:
    """Make the table that transactional tasks write to."""

    def create(connection: Connection) -> None:
        EFFECTS.create(connection, checkfirst=True)

    async with engine.begin() as connection:
        await connection.run_sync(create)


async def effects(engine: AsyncEngine) -> Counter[str]:
    """Return how often each message had its effect."""
    async with engine.connect() as connection:
        return Counter(await connection.scalars(EFFECTS.select()))
