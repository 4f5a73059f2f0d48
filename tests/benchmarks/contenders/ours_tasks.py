"""The tasks that our worker is measured with. They do what a peer's handler does, and nothing for the clock's sake."""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Any, ClassVar

from benchmarks.contenders.tables import EFFECTS
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from consumer_service.task import Context, Guarantee, Task
from shared.events import UserCreated

WAIT_SECONDS = 0.02


class NothingTask(Task[UserCreated]):
    """Does nothing, under the default guarantee: a start is committed before it and an end after it."""

    queue: ClassVar[str] = "bench"
    timeout: ClassVar[timedelta] = timedelta(seconds=5)

    def __init__(self) -> None:
        """Have nothing to say yet."""
        self.numbers: dict[str, Any] = {}

    async def run(self, message: UserCreated, context: Context) -> None:
        """Return at once."""


class RowTask(NothingTask):
    """Writes one row in the inbox's transaction."""

    guarantee: ClassVar[Guarantee] = Guarantee.TRANSACTIONAL

    async def run(self, message: UserCreated, context: Context) -> None:
        """Write the row."""
        await write_row(context.session, context.envelope.id, message)


class ClockingTask(NothingTask):
    """Notes when each message reached it."""

    def __init__(self) -> None:
        """Have seen none yet."""
        super().__init__()
        self._clocks: dict[str, float] = {}
        self.numbers = {"clocks": self._clocks}

    async def run(self, _message: UserCreated, context: Context) -> None:
        """Read the clock."""
        self._clocks[context.envelope.id] = monotonic()


class WaitingTask(NothingTask):
    """Waits, as for a mail server."""

    async def run(self, _message: UserCreated, _context: Context) -> None:
        """Wait."""
        await asyncio.sleep(WAIT_SECONDS)


async def write_row(session: AsyncSession, message_id: str, message: UserCreated) -> None:
    """Write what a transactional task writes."""
    await session.execute(insert(EFFECTS).values(message_id=message_id, user_id=message.user_id))


TASKS: dict[str, type[NothingTask]] = {
    "nothing": NothingTask,
    "row": RowTask,
    "clocking": ClockingTask,
    "waiting": WaitingTask,
}
