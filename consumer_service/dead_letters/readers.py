"""What the tasks of this code can read from which queue, without building any of them. Pure."""

from collections.abc import Iterable, Sequence

from consumer_service.dispatch import AnyTask, Key
from consumer_service.queues import by_family, lanes_of, queue_name
from consumer_service.upcasters import UPCASTERS, Upcaster, Upcasting
from shared.contracts import Contract
from shared.envelope import Envelope, EnvelopeReader
from shared.errors import UnknownType
from shared.transport import Message


class Readers:
    """One envelope reader for each queue, and the task for each message type in it."""

    def __init__(self, tasks: Iterable[type[AnyTask]], upcasters: Sequence[Upcaster] = UPCASTERS) -> None:
        """Compile a validator for each message that these tasks take, also in versions that upcasters bring up."""
        self._tasks: dict[tuple[str, str], type[AnyTask]] = {}
        self._readers: dict[str, EnvelopeReader] = {}
        for family, members in by_family(tasks).items():
            upcasting = Upcasting(upcasters, (task.takes.wire_type for task in members))
            for queue in (queue_name(family, lane) for lane in lanes_of(members)):
                self._readers[queue] = EnvelopeReader((task.takes for task in members), upcasting)
                for task in members:
                    types = (task.takes.wire_type, *upcasting.older(task.takes.wire_type))
                    self._tasks |= {(queue, wire_type): task for wire_type in types}

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue of these tasks."""
        return tuple(self._readers)

    def read(self, queue: str, message: Message) -> Envelope[Contract]:
        """Return the envelope as the tasks of this queue read it. Raises an EnvelopeError where they cannot."""
        reader = self._readers.get(queue)
        if reader is None:
            raise UnknownType(f"no task of this code takes anything from {queue}")
        return reader.read(message)

    def task(self, queue: str, wire_type: str | None) -> type[AnyTask] | None:
        """Return the task that takes this type from this queue."""
        return self._tasks.get((queue, wire_type or ""))

    def task_name(self, queue: str, wire_type: str | None) -> str | None:
        """Return the name by which the inbox and the logs know that task."""
        task = self.task(queue, wire_type)
        return task.__name__ if task else None

    def key(self, queue: str, envelope: Envelope[Contract]) -> Key:
        """Return what the inbox remembers a message of this queue by. `read` must have returned the envelope."""
        return Key(self._tasks[queue, envelope.type].__name__, envelope.id)
