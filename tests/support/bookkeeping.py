"""Tasks that keep books: a row for each message in the inbox's transaction, alone or in batches; some after trouble."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from sqlalchemy import Column, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from support.tasks import EFFECTS

from consumer_service.outcome import PermanentFailure, TemporaryFailure
from consumer_service.retry import RetryPolicy
from consumer_service.task import BatchTask, Context, Guarantee, Task
from shared.events import UserCreated

PROMPT, LATE, NEVER = "Prompt", "Late", "Never"
"""Names of users: booked at once, at the second attempt, or never."""

SOON = RetryPolicy(limit=9, first=timedelta(seconds=1), growth=1.0, jitter=0.0)

INDEX = Table("index_entries", MetaData(), Column("message_id", String(255), nullable=False))
"""What the batch task writes: a row per effect, so that a repeated one is seen."""


class Bookkeeping(Task[UserCreated]):
    """Writes a row, and only then fails, as the name of the user wants it."""

    queue: ClassVar[str] = "bookkeeping"
    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL
    retry: ClassVar[RetryPolicy] = SOON

    async def run(self, message: UserCreated, context: Context) -> None:
        await context.session.execute(insert(EFFECTS).values(message_id=context.envelope.id))
        fail_as_named(message, context)


class Indexing(BatchTask[UserCreated]):
    """Writes the rows of a whole batch, and only then fails if one of its users is named so."""

    queue: ClassVar[str] = "indexing"
    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL
    retry: ClassVar[RetryPolicy] = SOON

    async def run_batch(self, messages: Sequence[UserCreated], contexts: Sequence[Context]) -> None:
        rows = [{"message_id": context.envelope.id} for context in contexts]
        await contexts[0].session.execute(insert(INDEX), rows)
        for message, context in zip(messages, contexts, strict=True):
            fail_as_named(message, context)


def fail_as_named(message: UserCreated, context: Context) -> None:
    """Fail for good, at the first attempt, or not at all."""
    if message.name == NEVER:
        raise PermanentFailure("this name is not booked")
    if message.name == LATE and context.attempt == 1:
        raise TemporaryFailure("this name is booked at the second attempt")


async def create_index(engine: AsyncEngine) -> None:
    """Make the table that the batch task writes to."""
    async with engine.begin() as connection:
        await connection.run_sync(INDEX.metadata.create_all)


async def indexed(engine: AsyncEngine) -> Counter[str]:
    """Return how often each message was put into the index."""
    async with engine.connect() as connection:
        return Counter(await connection.scalars(INDEX.select()))
