"""The queues and bindings that a set of tasks needs, derived from the tasks and never typed twice."""

from collections.abc import Iterable, Mapping, Sequence

from consumer_service.dispatch import AnyTask
from consumer_service.upcasters import UPCASTERS, Upcaster, Upcasting
from shared.commands import Command
from shared.contracts import Lane
from shared.topology import DOMAIN_TASKS, Binding, Queue, Topology, exchange_for, routing_key


def queue_name(family: str, lane: Lane = Lane.NORMAL) -> str:
    """Return the queue of a task family in a lane: `mail` is served from `consumer.mail` and `consumer.mail.bulk`."""
    return f"consumer.{family}" if lane is Lane.NORMAL else f"consumer.{family}.{lane.name.lower()}"


def lanes_of(tasks: Iterable[type[AnyTask]]) -> tuple[Lane, ...]:
    """Return the lanes in which a family has queues, given its tasks: the normal one, and those that any task wants."""
    return tuple(sorted({Lane.NORMAL, *(lane for task in tasks for lane in task.lanes)}))


def topology_of(tasks: Iterable[type[AnyTask]], upcasters: Sequence[Upcaster] = UPCASTERS) -> Topology:
    """Return the queues of each family, bound to what its tasks take and to every command addressed to the family.

    A queue whose task takes what an old type is brought up to is bound to the old type as well, and a lane in which a
    family has no queue leads into its normal one. Raises ValueError for a task that takes a command addressed to
    another family: it would never get one.
    """
    families = by_family(tasks).items()
    return Topology(
        tuple(_queue(family, members, upcasters, lane) for family, members in families for lane in lanes_of(members))
    )


def by_family(tasks: Iterable[type[AnyTask]]) -> Mapping[str, list[type[AnyTask]]]:
    """Group tasks by family, families in the order in which they first appear."""
    families: dict[str, list[type[AnyTask]]] = {}
    for task in tasks:
        families.setdefault(task.queue, []).append(task)
    return families


def _queue(family: str, tasks: Sequence[type[AnyTask]], upcasters: Sequence[Upcaster], lane: Lane) -> Queue:
    upcasting = Upcasting(upcasters, (task.takes.wire_type for task in tasks))
    bound = [binding for task in tasks for binding in _bindings(family, task, upcasting)]
    bindings = [*bound, Binding(DOMAIN_TASKS, f"{family}.#")]
    return Queue(
        queue_name(family, lane),
        tuple(_in_lane(binding, each) for each in _served(tasks, lane) for binding in bindings),
    )


def _served(tasks: Sequence[type[AnyTask]], lane: Lane) -> Sequence[Lane]:
    """Return the lanes that lead into a family's queue of this lane."""
    return [lane, *([each for each in Lane if each not in lanes_of(tasks)] if lane is Lane.NORMAL else [])]


def _in_lane(binding: Binding, lane: Lane) -> Binding:
    return Binding(binding.exchange, routing_key(binding.key, lane))


def _bindings(family: str, task: type[AnyTask], upcasting: Upcasting) -> tuple[Binding, ...]:
    wire_type = task.takes.wire_type
    if not issubclass(task.takes, Command):
        return tuple(Binding(exchange_for(task.takes), key) for key in (wire_type, *upcasting.older(wire_type)))
    if wire_type.partition(".")[0] != family:
        raise ValueError(f"{task.__name__} is in family {family!r} but takes the command {wire_type!r}")
    return ()
