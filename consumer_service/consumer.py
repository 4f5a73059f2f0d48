"""One queue's deliveries, from arrival to settlement. The only file that acks, retries, dead-letters or releases.

Three stages, each taking whatever has arrived and never lingering for more: *admit* reads the messages and lets the
inbox start them in one transaction; *work* runs them, `concurrency` at a time; *settle* records how they ended in
one transaction and only then lets the broker forget them. A delivery whose session has died goes through to the
end all the same: what it did is recorded, its settlement is dropped, and its redelivery is a duplicate.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import random
from time import monotonic
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from consumer_service.admission import Admission, is_started_first
from consumer_service.database import insist
from consumer_service.dispatch import Assignment, Dispatcher
from consumer_service.execution import Execution
from consumer_service.inbox import Inbox
from consumer_service.metrics import ConsumerMetrics
from consumer_service.notes import dead_letter_notes, retry_notes
from consumer_service.outcome import DeadLetter, Done, Duplicate, Outcome, Released, Retry
from consumer_service.quarantine import Quarantine
from consumer_service.reporting import report
from consumer_service.settlement import Settlement, by_subscription
from shared.errors import TransportError
from shared.transport import Delivery, Subscription

MOST_AT_ONCE = 100
"""Deliveries that share one inbox transaction."""

MOVE_AGAIN_SECONDS = 1.0
"""At least this long, and at most twice as long, before a move that was not confirmed is tried again."""

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
    ) -> None:
        """Hold nothing yet; `run` must be running for anything to be worked on."""
        self.queue = queue
        self._admission = Admission(queue=queue, dispatcher=dispatcher, inbox=inbox, quarantine=quarantine)
        self._inbox = inbox
        self._execution = execution
        self._quarantine = quarantine
        self._metrics = metrics
        self._concurrency = concurrency
        self._ready: asyncio.Queue[Assignment] = asyncio.Queue()
        self._ended: list[Settlement] = []
        self._something_ended = asyncio.Event()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._last_delivery = monotonic()
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Work and settle until cancelled. Ends in no other way but by a bug, which must end the process."""
        async with self._group as group:
            group.create_task(self._settle_for_ever(), name=f"{self.queue} settling")
            for number in range(self._concurrency):
                group.create_task(self._work_for_ever(), name=f"{self.queue} working {number}")

    async def feed(self, subscription: Subscription) -> None:
        """Admit what the subscription brings, until it ends and SessionLost is raised."""
        while True:
            deliveries = await subscription.take(MOST_AT_ONCE)
            self._last_delivery = monotonic()
            self._count(len(deliveries))
            await self._admit(deliveries)

    async def drain(self, subscription: Subscription, *, grace_seconds: float) -> bool:
        """Take no more, give back what was not started, and wait for the rest. True if all was settled in time."""
        self._draining = True
        await subscription.stop()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def has_room(self, prefetch: int) -> bool:
        """Whether the broker could bring us more."""
        return self._in_flight < prefetch

    @property
    def silent_seconds(self) -> float:
        """How long nothing has arrived."""
        return monotonic() - self._last_delivery

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight.labels(self.queue).set(self._in_flight)
        (self._idle.clear if self._in_flight else self._idle.set)()

    async def _admit(self, deliveries: Sequence[Delivery]) -> None:
        admitted = await self._admission.admit(deliveries)
        for each in admitted.ready:
            self._ready.put_nowait(each)
        for settlement in admitted.ended:
            self._end(settlement)
        for suspect in admitted.suspects:
            await self._work_alone(suspect)

    async def _work_alone(self, suspect: Assignment) -> None:
        """Start, run and settle one delivery that may have killed a worker, while nothing else runs here."""
        async with self._quarantine.alone():
            log.warning("delivery.quarantined", queue=self.queue, message_id=suspect.envelope.id)
            admitted = await self._admission.admit_alone(suspect)
            if isinstance(admitted, Assignment):
                admitted = Settlement(suspect.delivery, await self._perform(suspect), suspect, started=True)
            await self._settle([admitted])

    async def _work_for_ever(self) -> None:
        while True:
            assignment = await self._ready.get()
            outcome = await self._perform(assignment)
            self._end(Settlement(assignment.delivery, outcome, assignment, started=is_started_first(assignment)))

    async def _perform(self, assignment: Assignment) -> Outcome:
        if self._draining or assignment.delivery.subscription.ended:
            return Released()
        envelope, task = assignment.envelope, assignment.task
        self._metrics.lag.labels(self.queue).observe(max(0.0, (datetime.now(UTC) - envelope.time).total_seconds()))
        began = monotonic()
        with bound_contextvars(message_id=envelope.id, correlation_id=envelope.correlation_id, task=task.name):
            outcome = await self._execution.run(assignment)
        self._metrics.task_seconds.labels(task.name).observe(monotonic() - began)
        return outcome

    def _end(self, settlement: Settlement) -> None:
        self._ended.append(settlement)
        self._something_ended.set()

    async def _settle_for_ever(self) -> None:
        while True:
            await self._something_ended.wait()
            self._something_ended.clear()
            batch, self._ended = self._ended, []
            await self._settle(batch)
            self._quarantine.leave(sum(settlement.assignment is not None for settlement in batch))

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        """Record, then ack; or record, then copy and ack; or, for dead letters, copy and ack, then record.

        A dead letter is recorded last because `dead` may be started again, which only a replay should do.
        """
        await self._record([each for each in batch if not isinstance(each.outcome, DeadLetter)])
        await self._ack([each for each in batch if isinstance(each.outcome, Done | Duplicate)])
        await self._release([each for each in batch if isinstance(each.outcome, Released)])
        for each in batch:
            if isinstance(each.outcome, Retry | DeadLetter):
                await self._move_or_keep_trying(each)

    async def _record(self, settlements: Sequence[Settlement]) -> None:
        finishes = [each.finish for each in settlements if each.finish is not None]
        if finishes:
            await insist(lambda: self._inbox.finish(finishes), queue=self.queue)

    async def _ack(self, settlements: Sequence[Settlement]) -> None:
        for subscription, deliveries in by_subscription(settlements):
            lost_before = subscription.lost
            await subscription.ack(deliveries)
            self._metrics.settlements_lost.labels(self.queue).inc(subscription.lost - lost_before)
        self._settled(settlements)

    async def _release(self, settlements: Sequence[Settlement]) -> None:
        for subscription, deliveries in by_subscription(settlements):
            await subscription.release(deliveries)
        self._settled(settlements)

    async def _move_or_keep_trying(self, settlement: Settlement) -> None:
        try:
            await self._move(settlement)
        except TransportError as error:
            self._metrics.moves_failed.labels(self.queue).inc()
            log.warning("delivery.not_moved", queue=self.queue, error=str(error))
            self._group.create_task(self._keep_trying(settlement))

    async def _keep_trying(self, settlement: Settlement) -> None:
        await asyncio.sleep(MOVE_AGAIN_SECONDS * (1 + random()))  # noqa: S311 - spreads load, keeps no secret
        await self._move_or_keep_trying(settlement)

    async def _move(self, settlement: Settlement) -> None:
        delivery, outcome, task = settlement.delivery, settlement.outcome, settlement.task
        if isinstance(outcome, Retry) and task is not None:
            notes = retry_notes(delivery, outcome, task, datetime.now(UTC))
            await delivery.subscription.retry(delivery, outcome.delay, notes)
        elif isinstance(outcome, DeadLetter):
            notes = dead_letter_notes(delivery, outcome, task, datetime.now(UTC))
            await delivery.subscription.dead_letter(delivery, notes)
            await self._record([settlement])
        self._settled([settlement])

    def _settled(self, settlements: Sequence[Settlement]) -> None:
        self._count(-len(settlements))
        for each in settlements:
            report(self._metrics, self.queue, each.delivery, each.outcome, each.assignment)
