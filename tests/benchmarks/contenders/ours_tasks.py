"""The tasks that our worker is measured with. They do what a peer's handler does, and nothing for the clock's sake."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, ClassVar

from benchmarks.contenders.tables import EFFECTS, Effect
from sqlalchemy import insert

from consumer_service.task import BatchTask, Context, Guarantee, Task
from shared.events import UserCreated

WAIT_SECONDS = 0.02


class BenchTask(Task[UserCreated]):
    """What all of them have in common. `numbers` go with the last mark of the process."""

    queue: ClassVar[str] = "bench"
    timeout: ClassVar[timedelta] = timedelta(seconds=5)

    def __init__(self) -> None:
        """Have nothing to say yet."""
        self.numbers: dict[str, Any] = {}


class NothingTask(BenchTask):
    """Does nothing, under the default guarantee: a start is committed before it and an end after it."""

    async def run(self, message: UserCreated, context: Context) -> None:
        """Return at once."""


class RowTask(BenchTask):
    """Adds one row to the inbox's transaction, as CONTRIBUTING tells; it is written with those that share it."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run(self, message: UserCreated, context: Context) -> None:
        """Add the row."""
        context.session.add(Effect(**row_for(message, context)))


class StatementTask(BenchTask):
    """Writes one row in the inbox's transaction by a statement of its own, which is waited for."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run(self, message: UserCreated, context: Context) -> None:
        """Write the row."""
        await context.session.execute(insert(EFFECTS), row_for(message, context))


class RowsTask(BenchTask, BatchTask[UserCreated]):
    """Writes the rows of many messages by one statement, in the transaction that they share with the inbox."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run_batch(self, messages: Sequence[UserCreated], contexts: Sequence[Context]) -> None:
        """Write the rows."""
        rows = [row_for(message, context) for message, context in zip(messages, contexts, strict=True)]
        await contexts[0].session.execute(insert(EFFECTS), rows)


class ClockingTask(BenchTask):
    """Notes when each message reached it."""

    def __init__(self) -> None:
        """Have seen none yet."""
        super().__init__()
        self._clocks: dict[str, float] = {}
        self.numbers = {"clocks": self._clocks}

    async def run(self, _message: UserCreated, context: Context) -> None:
        """Read the clock."""
        self._clocks[context.envelope.id] = monotonic()


class WaitingTask(BenchTask):
    """Waits, as for a mail server."""

    async def run(self, _message: UserCreated, _context: Context) -> None:
        """Wait."""
        await asyncio.sleep(WAIT_SECONDS)


def row_for(message: UserCreated, context: Context) -> dict[str, Any]:
    """Return what a transactional task writes for one message."""
    return {"message_id": context.envelope.id, "user_id": message.user_id}


TASKS: dict[str, type[BenchTask]] = {
    "nothing": NothingTask,
    "row": RowTask,
    "statement": StatementTask,
    "rows": RowsTask,
    "clocking": ClockingTask,
    "waiting": WaitingTask,
}
