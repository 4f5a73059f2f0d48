"""Dead letters in the making, and a look at the table afterwards."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from support.builders import a_message
from support.inboxes import long_ago
from support.tasks import AtMostOnceTask, RecordingTask, TransactionalTask, WelcomeTask

from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.collecting import Collector
from consumer_service.dead_letters.letters import Letter, read_letter
from consumer_service.dead_letters.looking import Filter, find
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.recording import record
from consumer_service.dead_letters.returning import claim
from consumer_service.dead_letters.stored import ACTIONS, DeadLetter
from consumer_service.dispatch import REPLAYS, AnyTask
from consumer_service.lifecycle import State
from consumer_service.models import DeadLetterRow
from consumer_service.outcome import fingerprint_of
from shared.envelope import Envelope
from shared.transport import ATTEMPT, Message, Transport

MAIL, NOTIFICATION = "consumer.mail", "consumer.notification"
BUSY = "TemporaryFailure: the server is busy"
ANN = Order("ann", "the server works again")
LONG = timedelta(days=21)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class NotifyingTask(RecordingTask):
    """The same event, in another queue."""

    queue = "notification"


TASKS: tuple[type[AnyTask], ...] = (RecordingTask, WelcomeTask, NotifyingTask)
READERS = Readers(TASKS)
TRANSACTIONAL = Readers((TransactionalTask,))
AT_MOST_ONCE = Readers((AtMostOnceTask,))


def a_dead_message(
    envelope: Envelope[Any] | None = None,
    *,
    error: str = BUSY,
    reason: str = "retries_exhausted",
    task: str = "RecordingTask",
    attempt: int = 3,
    replays: int = 0,
    died_at: datetime | None = None,
    **changes: Any,
) -> Message:
    """Return a message as a worker leaves it in dead letters."""
    died_at = died_at or datetime.now(UTC) - timedelta(minutes=1)
    notes = {
        "tidings-task": task,
        "tidings-reason": reason,
        "tidings-error": error,
        "tidings-fingerprint": fingerprint_of(task, error),
        "tidings-failed-at": died_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        ATTEMPT: attempt,
        **({REPLAYS: replays} if replays else {}),
    }
    headers = {**notes, **changes.pop("headers", {})}
    return a_message(envelope, headers=headers, **changes)


def a_letter(message: Message | None = None, *, queue: str = MAIL) -> Letter:
    return read_letter(message or a_dead_message(), queue, READERS, datetime.now(UTC))


async def buried(engine: AsyncEngine, *messages: Message, queue: str = MAIL) -> list[DeadLetter]:
    """Put these into the table, and return them as they stand there."""
    recorded = await record(engine, [a_letter(message, queue=queue) for message in messages])
    return [await the_letter(engine, each.id) for each in recorded]


async def the_letters(engine: AsyncEngine) -> Sequence[DeadLetter]:
    """Return everything in the table, in the order of the numbers."""
    return sorted(await find(engine, Filter(states=frozenset(State))), key=lambda letter: letter.id)


async def the_letter(engine: AsyncEngine, dead_letter_id: int) -> DeadLetter:
    (letter,) = await find(engine, Filter(ids=(dead_letter_id,), states=frozenset(State)))
    return letter


async def claimed(engine: AsyncEngine, *letters: DeadLetter) -> Sequence[DeadLetter]:
    return await claim(engine, [letter.id for letter in letters], ANN, replayable=LONG)


async def grown_old(engine: AsyncEngine, *letters: DeadLetter, by: timedelta, **columns: Any) -> None:
    """Let these have died, and been decided on, so long ago."""
    then = dict.fromkeys(("last_died_at", "changed_at"), long_ago(engine, by)) | columns
    async with engine.begin() as connection:
        older = update(DeadLetterRow).where(DeadLetterRow.id.in_([letter.id for letter in letters]))
        await connection.execute(older.values(then))


async def put_in_state(engine: AsyncEngine, state: State, *letters: DeadLetter) -> None:
    async with engine.begin() as connection:
        these = update(DeadLetterRow).where(DeadLetterRow.id.in_([letter.id for letter in letters]))
        await connection.execute(these.values(state=state))


async def audited(engine: AsyncEngine) -> list[tuple[str, str, str, int]]:
    """Return the audit: what was done, who did it, why, to which dead letter."""
    columns = (ACTIONS.c.action, ACTIONS.c.operator, ACTIONS.c.why, ACTIONS.c.dead_letter_id)
    async with engine.connect() as connection:
        return [(*row,) for row in await connection.execute(select(*columns).order_by(ACTIONS.c.id))]


def a_collector(engine: AsyncEngine, transport: Transport, readers: Readers = READERS) -> Collector:
    metrics = DeadLetterMetrics(CollectorRegistry())
    return Collector(transport=transport, engine=engine, readers=readers, metrics=metrics)
