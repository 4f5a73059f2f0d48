"""Who listens: what the consumer's registry says about each task, read without building any."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from consumer_service.dispatch import AnyTask
from consumer_service.queues import by_family, lanes_of, queue_name, topology_of
from consumer_service.registry import TASKS
from consumer_service.upcasters import UPCASTERS, Upcaster, Upcasting
from shared.contracts import Lane
from shared.topology import Queue


@dataclass(frozen=True, slots=True)
class Subscription:
    """One task that takes one message from one queue."""

    queue: str
    task: str
    wire_type: str
    meaning: str
    guarantee: str
    timeout_seconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Consumers:
    """Everything that one consumer service takes, and how: the half of the documents that `shared` cannot know."""

    queues: tuple[Queue, ...]
    subscriptions: tuple[Subscription, ...]
    upcasters: tuple[Upcaster, ...] = ()

    def upcasting(self, queue: str) -> Upcasting:
        """Return how this queue brings old types up to those that its tasks take."""
        return Upcasting(self.upcasters, (each.wire_type for each in self.subscriptions if each.queue == queue))


def registered(tasks: Sequence[type[AnyTask]] = TASKS, upcasters: tuple[Upcaster, ...] = UPCASTERS) -> Consumers:
    """Return what the registry says, in its order."""
    topology, lanes = topology_of(tasks, upcasters), {family: lanes_of(of) for family, of in by_family(tasks).items()}
    subscriptions = tuple(_subscription(task, lane) for task in tasks for lane in lanes[task.queue])
    return Consumers(topology.queues, subscriptions, upcasters)


def _subscription(task: type[AnyTask], lane: Lane) -> Subscription:
    return Subscription(
        queue=queue_name(task.queue, lane),
        task=task.__name__,
        wire_type=task.takes.wire_type,
        meaning=" ".join((inspect.getdoc(task) or "").split()),
        guarantee=task.guarantee.value,
        timeout_seconds=task.timeout.total_seconds(),
        attempts=task.retry.limit,
    )
