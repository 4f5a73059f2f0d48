"""How one delivery ended, and what the inbox must be told of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from consumer_service.claim import Status
from consumer_service.dispatch import AnyTask, Assignment
from consumer_service.inbox_rows import Finish
from consumer_service.outcome import DeadLetter, Done, Duplicate, Outcome, Released, Retry
from shared.transport import Delivery, Subscription


@dataclass(frozen=True, slots=True)
class Settlement:
    """A delivery and how it ended. `assignment` is None for one that nobody could read."""

    delivery: Delivery
    outcome: Outcome
    assignment: Assignment | None = None
    started: bool = False
    """Whether the inbox says that this worker has started it, so that its end must be recorded."""

    @property
    def task(self) -> AnyTask | None:
        """The task that took it, if any could."""
        return self.assignment.task if self.assignment else None

    @property
    def finish(self) -> Finish | None:
        """What the inbox must be told; None when it knows, or when it would overwrite another delivery's row."""
        if self.assignment is None or not self.started:
            return None
        match self.outcome:
            case Done() | Duplicate():
                return Finish(self.assignment, Status.DONE)
            case Released():
                return Finish(self.assignment, Status.WAITING)
            case Retry(error=error):
                return Finish(self.assignment, Status.WAITING, error)
            case DeadLetter(error=error):
                return Finish(self.assignment, Status.DEAD, error)


def by_subscription(settlements: Iterable[Settlement]) -> list[tuple[Subscription, list[Delivery]]]:
    """Group deliveries by the session that brought them, because only that session can settle them."""
    groups: dict[int, tuple[Subscription, list[Delivery]]] = {}
    for each in settlements:
        subscription = each.delivery.subscription
        groups.setdefault(id(subscription), (subscription, []))[1].append(each.delivery)
    return list(groups.values())
