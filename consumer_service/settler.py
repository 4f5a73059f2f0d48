"""How deliveries end: the inbox is told, then the broker. The only file that acks, retries, dead-letters or releases.

Ends that come together share one transaction and one multiple-ack. Copies for retries and dead letters are made
beside everything else, because a broker that makes publishers wait still takes acks.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import random
from typing import Any

import structlog

from consumer_service.database import insist
from consumer_service.inbox import Inbox
from consumer_service.line import Line
from consumer_service.metrics import ConsumerMetrics
from consumer_service.notes import dead_letter_notes, retry_notes
from consumer_service.outcome import DeadLetter, Done, Duplicate, Released, Retry
from consumer_service.quarantine import Quarantine
from consumer_service.reporting import report
from consumer_service.settlement import Settlement, by_subscription
from shared.errors import TransportError

MOST_AT_ONCE = 250
"""Deliveries that share one inbox transaction."""

log: Any = structlog.get_logger()


class Settler:
    """Settles one queue's deliveries, and knows how many are still to be settled."""

    def __init__(
        self, *, queue: str, inbox: Inbox, quarantine: Quarantine, metrics: ConsumerMetrics, pause_seconds: float
    ) -> None:
        """Owe nothing yet; `run` must be running for anything to be settled.

        A record that failed is tried again after `pause_seconds`, a move that was not confirmed after up to twice that.
        """
        self._queue = queue
        self._inbox = inbox
        self._quarantine = quarantine
        self._metrics = metrics
        self._in_flight = metrics.in_flight.labels(queue)
        self._pause_seconds = pause_seconds
        self._ended: Line[Settlement] = Line()
        self._moving: set[str | int] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._moves = asyncio.TaskGroup()
        self.in_flight = 0
        """Deliveries that were taken and not yet settled."""

    async def run(self) -> None:
        """Settle what has ended, until cancelled."""
        async with self._moves:
            while True:
                batch = await self._ended.take(MOST_AT_ONCE)
                await self.settle(batch)
                self._quarantine.leave(sum(settlement.assignment is not None for settlement in batch))

    def owe(self, count: int) -> None:
        """Note that so many more deliveries were taken, each of which will be settled once."""
        self._count(count)

    def end(self, settlement: Settlement) -> None:
        """Settle this one soon, and count it as out of the quarantine."""
        self._ended.put(settlement)

    async def is_idle_within(self, seconds: float) -> bool:
        """Wait until everything is settled, at most this long; say whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def settle(self, batch: Sequence[Settlement]) -> None:
        """Record, then ack; or record, then copy and ack; or, for dead letters, copy and ack, then record.

        A dead letter is recorded last because `dead` may be started again, which only a replay should do.
        """
        await self._record([each for each in batch if not isinstance(each.outcome, DeadLetter)])
        await self._ack([each for each in batch if isinstance(each.outcome, Done | Duplicate)])
        await self._release([each for each in batch if isinstance(each.outcome, Released)])
        for each in batch:
            if isinstance(each.outcome, Retry | DeadLetter):
                self._moves.create_task(self._move_or_keep_trying(each), name=f"{self._queue} moving")

    async def _record(self, settlements: Sequence[Settlement]) -> None:
        finishes = [each.finish for each in settlements if each.finish is not None]
        if finishes:
            await insist(lambda: self._inbox.finish(finishes), queue=self._queue, pause_seconds=self._pause_seconds)

    async def _ack(self, settlements: Sequence[Settlement]) -> None:
        for subscription, deliveries in by_subscription(settlements):
            await subscription.ack(deliveries)
        self._settled(settlements)

    async def _release(self, settlements: Sequence[Settlement]) -> None:
        for subscription, deliveries in by_subscription(settlements):
            await subscription.release(deliveries)
        self._settled(settlements)

    async def _move_or_keep_trying(self, settlement: Settlement) -> None:
        while True:
            if await self._is_moved(settlement):
                return
            await asyncio.sleep(self._pause_seconds * (1 + random()))  # noqa: S311 - spreads load, keeps no secret

    async def _is_moved(self, settlement: Settlement) -> bool:
        message_id = settlement.delivery.message.message_id or settlement.delivery.tag
        if message_id in self._moving:
            return False  # Its twin is in the air, and a publisher tells its messages apart by their ids.
        self._moving.add(message_id)
        try:
            await self._move(settlement)
        except TransportError as error:
            self._metrics.moves_failed.labels(self._queue).inc()
            log.warning("delivery.not_moved", queue=self._queue, error=str(error))
            return False
        finally:
            self._moving.discard(message_id)
        return True

    async def _move(self, settlement: Settlement) -> None:
        delivery, outcome, task = settlement.delivery, settlement.outcome, settlement.task
        if isinstance(outcome, Retry) and task is not None:
            notes = retry_notes(delivery, outcome, task, datetime.now(UTC))
            rung = await delivery.subscription.retry(delivery, outcome.delay, notes)
            if rung is not None:
                self._metrics.retries.labels(self._queue, task.name, rung).inc()
        elif isinstance(outcome, DeadLetter):
            notes = dead_letter_notes(delivery, outcome, task, datetime.now(UTC))
            await delivery.subscription.dead_letter(delivery, notes)
            await self._record([settlement])
        self._settled([settlement])

    def _settled(self, settlements: Sequence[Settlement]) -> None:
        self._count(-len(settlements))
        lost = sum(each.delivery.subscription.ended for each in settlements)
        self._metrics.settlements_lost.labels(self._queue).inc(lost)
        for each in settlements:
            report(self._metrics, self._queue, each.delivery, each.outcome, each.assignment)

    def _count(self, change: int) -> None:
        self.in_flight += change
        self._in_flight.set(self.in_flight)
        (self._idle.clear if self.in_flight else self._idle.set)()
