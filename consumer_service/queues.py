"""The queues and bindings that a set of tasks needs, derived from the tasks and never typed twice."""

from collections.abc import Iterable, Mapping, Sequence

from consumer_service.dispatch import AnyTask
from consumer_service.upcasters import UPCASTERS, Upcaster, Upcasting
from shared.commands import Command
from shared.topology import DOMAIN_TASKS, Binding, Queue, Topology, exchange_for


def queue_name(family: str) -> str:
    """Return the queue of a task family: `mail` is served from `consumer.mail`."""
    return f"consumer.{family}"


def topology_of(tasks: Iterable[type[AnyTask]], upcasters: Sequence[Upcaster] = UPCASTERS) -> Topology:
    """Return one queue per family, bound to what its tasks take and to every command addressed to the family.

    A queue whose task takes what an old type is brought up to is bound to the old type as well. Raises ValueError for
    a task that takes a command addressed to another family: it would never get one.
    """
    return Topology(tuple(_queue(family, members, upcasters) for family, members in by_family(tasks).items()))


def by_family(tasks: Iterable[type[AnyTask]]) -> Mapping[str, list[type[AnyTask]]]:
    """Group tasks by family, families in the order in which they first appear."""
    families: dict[str, list[type[AnyTask]]] = {}
    for task in tasks:
        families.setdefault(task.queue, []).append(task)
    return families


def _queue(family: str, tasks: Sequence[type[AnyTask]], upcasters: Sequence[Upcaster]) -> Queue:
    upcasting = Upcasting(upcasters, (task.takes.wire_type for task in tasks))
    events = (binding for task in tasks for binding in _bindings(family, task, upcasting))
    return Queue(queue_name(family), (*events, Binding(DOMAIN_TASKS, f"{family}.#")))


def _bindings(family: str, task: type[AnyTask], upcasting: Upcasting) -> tuple[Binding, ...]:
    wire_type = task.takes.wire_type
    if not issubclass(task.takes, Command):
        return tuple(Binding(exchange_for(task.takes), key) for key in (wire_type, *upcasting.older(wire_type)))
    if wire_type.partition(".")[0] != family:
        raise ValueError(f"{task.__name__} is in family {family!r} but takes the command {wire_type!r}")
    return ()
