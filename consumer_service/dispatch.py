"""From bytes to the one task that takes them; or to the reason why nobody can."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from consumer_service.outcome import DeadLetter, as_line
from consumer_service.task import BatchTask, Guarantee, Task
from consumer_service.upcasters import UPCASTERS, Upcaster, Upcasting
from shared.contracts import Contract
from shared.envelope import Envelope, EnvelopeReader
from shared.errors import EnvelopeError
from shared.transport import MOST_ATTEMPTS, Delivery, Message

AnyTask = Task[Any]

REPLAYS = "tidings-replays"
"""The header that counts how often a dead letter was sent back to its queue."""


class Key(NamedTuple):
    """What the inbox remembers: this task, this message."""

    task: str
    message_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A delivery that could be read, and the task that takes it."""

    delivery: Delivery
    envelope: Envelope[Contract]
    task: AnyTask
    key: Key
    body_hash: bytes

    @property
    def is_started_first(self) -> bool:
        """Whether a start is committed before the task runs.

        A transactional task needs none: its inbox row commits with its own rows. Only after a redelivery, which may
        be the mark of a crash, is it started first as well, so that a message that kills workers is found out.
        """
        return self.task.guarantee is not Guarantee.TRANSACTIONAL or self.delivery.redelivered

    @property
    def kind(self) -> str | None:
        """What it may go together with: messages of one batch task, or others that may share a transaction."""
        if self.task.guarantee is Guarantee.TRANSACTIONAL and self.is_started_first:
            return None
        if isinstance(self.task, BatchTask):
            return self.task.name
        return "transactional" if self.task.guarantee is Guarantee.TRANSACTIONAL else None

    @property
    def replays(self) -> int:
        """How often somebody sent this message back from dead letters."""
        return replays(self.delivery.message)


class Dispatcher:
    """Finds the task for a delivery of one queue. Pure: it touches neither broker nor database."""

    def __init__(self, tasks: Iterable[AnyTask], upcasters: Iterable[Upcaster] = UPCASTERS) -> None:
        """Refuse two tasks for one message type, because one delivery is one task: there are no partial acks.

        What has no task of its own is brought up to a version that has, where upcasters lead there.
        """
        self._tasks: dict[str, AnyTask] = {}
        for task in tasks:
            rival = self._tasks.setdefault(task.takes.wire_type, task)
            if rival is not task:
                raise ValueError(
                    f"{rival.name} and {task.name} both take {task.takes.wire_type} from queue {task.queue!r}; "
                    "give one of them another queue"
                )
        upcasting = Upcasting(upcasters, self._tasks)
        self._reader = EnvelopeReader((task.takes for task in self._tasks.values()), upcasting)

    @property
    def tasks(self) -> Mapping[str, AnyTask]:
        """The task for each wire type."""
        return self._tasks

    def dispatch(self, delivery: Delivery) -> Assignment | DeadLetter:
        """Return the assignment, or the dead letter that an unreadable or unknown message becomes at once."""
        try:
            envelope = self._reader.read(delivery.message)
        except EnvelopeError as error:
            return DeadLetter(error.reason, as_line(str(error)), fingerprint=error.reason)
        task = self._tasks[envelope.type]
        return Assignment(delivery, envelope, task, Key(task.name, envelope.id), body_hash(delivery.message))


def replays(message: Message) -> int:
    """Return how often a message was sent back from dead letters. A nonsensical header counts as never."""
    count = message.headers.get(REPLAYS)
    return count if type(count) is int and 0 <= count <= MOST_ATTEMPTS else 0


def body_hash(message: Message) -> bytes:
    """Return 16 bytes that tell two bodies apart; the same id with another body is flagged, not processed."""
    return hashlib.blake2b(message.body, digest_size=16).digest()
