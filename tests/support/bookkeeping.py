"""A task that keeps a book: one row for each message, in the inbox's transaction; some only after trouble."""

from datetime import timedelta
from typing import ClassVar

from sqlalchemy import insert
from support.tasks import EFFECTS

from consumer_service.outcome import PermanentFailure, TemporaryFailure
from consumer_service.retry import RetryPolicy
from consumer_service.task import Context, Guarantee, Task
from shared.events import UserCreated

PROMPT, LATE, NEVER = "Prompt", "Late", "Never"
"""Names of users: booked at once, at the second attempt, or never."""


class Bookkeeping(Task[UserCreated]):
    """Writes a row, and only then fails, as the name of the user wants it."""

    queue: ClassVar[str] = "bookkeeping"
    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL
    retry: ClassVar[RetryPolicy] = RetryPolicy(limit=9, first=timedelta(seconds=1), growth=1.0, jitter=0.0)

    async def run(self, message: UserCreated, context: Context) -> None:
        await context.session.execute(insert(EFFECTS).values(message_id=context.envelope.id))
        if message.name == NEVER:
            raise PermanentFailure("this name is not booked")
        if message.name == LATE and context.attempt == 1:
            raise TemporaryFailure("this name is booked at the second attempt")
