"""One queue's deliveries, from arrival to their end.

Three stages, each taking whatever has arrived and never lingering for more: *admit* reads the messages and lets the
inbox start them in one transaction; *work* runs them, `concurrency` at a time; *settle* (the settler's) records how
they ended and lets the broker forget them. Sessions come and go without disturbing the stages. A delivery that was
started when its session died goes through to the end all the same: what it did is recorded, its settlement is
dropped, and its redelivery is a duplicate.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from operator import attrgetter
from time import monotonic
from typing import Any

import structlog
from structlog.contextvars import clear_contextvars

from consumer_service.admission import Admission
from consumer_service.database import PAUSE_SECONDS
from consumer_service.dispatch import Assignment, Dispatcher
from consumer_service.execution import Execution
from consumer_service.inbox import Inbox
from consumer_service.line import Line
from consumer_service.metrics import ConsumerMetrics
from consumer_service.outcome import Outcome, Released
from consumer_service.quarantine import Quarantine
from consumer_service.settlement import Settlement
from consumer_service.settler import MOST_AT_ONCE, Settler
from consumer_service.task import BatchTask
from shared.transport import Delivery, Subscription

LAST_WORDS_SECONDS = 3.0
"""The end of the grace period, or its half if it is short: for recording and giving back what was cut short."""

MOST_TOGETHER = 100
"""Transactional tasks that share one transaction: beyond that, its fixed costs no longer count."""

log: Any = structlog.get_logger()


class Consumer:
    """Consumes one queue, through any number of sessions, one after the other."""

    def __init__(
        self,
        *,
        queue: str,
        dispatcher: Dispatcher,
        inbox: Inbox,
        execution: Execution,
        quarantine: Quarantine,
        metrics: ConsumerMetrics,
        concurrency: int,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Hold nothing yet; `run` must be running for anything to be worked on."""
        self.queue = queue
        self._admission = Admission(
            queue=queue, dispatcher=dispatcher, inbox=inbox, quarantine=quarantine, pause_seconds=pause_seconds
        )
        self._settler = Settler(
            queue=queue, inbox=inbox, quarantine=quarantine, metrics=metrics, pause_seconds=pause_seconds
        )
        self._execution = execution
        self._quarantine = quarantine
        self._metrics = metrics
        self._lag = metrics.lag.labels(queue)
        self._concurrency = concurrency
        self._at_work = 0
        """How many of those who work are at it, and so take nothing of what waits."""
        self._arrived: Line[Delivery] = Line()
        self._ready: Line[Assignment] = Line()
        self._draining = False
        self._last_delivery = monotonic()

    async def run(self) -> None:
        """Admit, work and settle until cancelled. Ends in no other way but by a bug, which must end the process."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settler.run(), name=f"{self.queue} settling")
            group.create_task(self._admit_for_ever(), name=f"{self.queue} admitting")
            for number in range(self._concurrency):
                group.create_task(self._work_for_ever(), name=f"{self.queue} working {number}")

    async def feed(self, subscription: Subscription) -> None:
        """Take what the subscription brings, until it ends and SessionLost is raised. Cancelling this loses nothing."""
        while True:
            deliveries = await subscription.take(MOST_AT_ONCE)
            self._last_delivery = monotonic()
            self._settler.owe(len(deliveries))
            self._arrived.put(*deliveries)

    async def drain(self, subscription: Subscription | None, *, grace_seconds: float) -> bool:
        """Take no more, give back what was not started, and wait for the rest. True if all was settled in time.

        Shortly before the end of the grace period what still runs is cut short and given back; an effect that must not
        be repeated is dead-lettered. Without a subscription there is nowhere to give back to, but what runs is still
        finished and recorded.
        """
        last_words = min(LAST_WORDS_SECONDS, grace_seconds / 2)
        self._draining = True
        for unstarted in self._ready.clear():
            self._end(unstarted, Released())
        if subscription is not None:
            await subscription.stop()
        if await self._settler.is_idle_within(grace_seconds - last_words):
            return True
        self._execution.stop()
        await self._settler.is_idle_within(last_words)
        return False

    def has_room(self, prefetch: int) -> bool:
        """Whether the broker could bring us more."""
        return self._settler.in_flight < prefetch

    @property
    def silent_seconds(self) -> float:
        """How long nothing has arrived."""
        return monotonic() - self._last_delivery

    def _may_start(self, delivery: Delivery) -> bool:
        return not (self._draining or delivery.subscription.ended)

    def _end(self, assignment: Assignment, outcome: Outcome) -> None:
        started = assignment.is_started_first
        self._settler.end(Settlement(assignment.delivery, outcome, assignment, started=started))

    async def _admit_for_ever(self) -> None:
        while True:
            deliveries = await self._arrived.take(MOST_AT_ONCE)
            for unread in [each for each in deliveries if not self._may_start(each)]:
                self._settler.end(Settlement(unread, Released()))
            await self._admit([each for each in deliveries if self._may_start(each)])

    async def _admit(self, deliveries: Sequence[Delivery]) -> None:
        admitted = await self._admission.admit(deliveries)
        for settlement in admitted.ended:
            self._settler.end(settlement)
        self._ready.put(*(each for each in admitted.ready if self._may_start(each.delivery)))
        for unstarted in [each for each in admitted.ready if not self._may_start(each.delivery)]:
            self._end(unstarted, Released())
        for suspect in admitted.suspects:
            await self._work_alone(suspect)

    async def _work_alone(self, suspect: Assignment) -> None:
        """Start, run and settle one delivery that may have killed a worker, while nothing else runs here."""
        async with self._quarantine.alone():
            log.warning("delivery.quarantined", queue=self.queue, message_id=suspect.envelope.id)
            admitted = await self._admission.admit_alone(suspect)
            if isinstance(admitted, Assignment):
                (outcome,) = await self._perform([suspect])
                admitted = Settlement(suspect.delivery, outcome, suspect, started=True)
            await self._settler.settle([admitted])
        clear_contextvars()

    async def _work_for_ever(self) -> None:
        while True:
            taken = await self._ready.take_alike(attrgetter("kind"), self._share)
            assignments = [each for each in taken if self._may_start(each.delivery)]
            for unstarted in [each for each in taken if not self._may_start(each.delivery)]:
                self._end(unstarted, Released())
            if assignments:
                self._at_work += 1
                outcomes = await self._perform(assignments)
                self._at_work -= 1
                for assignment, outcome in zip(assignments, outcomes, strict=True):
                    self._end(assignment, outcome)

    def _share(self, first: Assignment) -> int:
        """Return how many may go with this one, so that each of us who has nothing to do gets an even part."""
        if isinstance(first.task, BatchTask):
            return first.task.most
        return min(MOST_TOGETHER, ceil((len(self._ready) + 1) / (self._concurrency - self._at_work)))

    async def _perform(self, assignments: Sequence[Assignment]) -> Sequence[Outcome]:
        now = datetime.now(UTC)
        for each in assignments:
            self._lag.observe(max(0.0, (now - each.envelope.time).total_seconds()))
        began = monotonic()
        outcomes = await self._execution.run_together(assignments)
        seconds = (monotonic() - began) / len(assignments)
        for each in assignments:
            self._metrics.task(each.task.name).observe(seconds)
        return outcomes
