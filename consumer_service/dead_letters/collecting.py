"""Moves dead letters from the broker into the table. A message is acked when its row is committed, never before."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.dead_letters.letters import read_letter
from consumer_service.dead_letters.metrics import DeadLetterMetrics
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.recording import Recorded, record
from shared.transport import Delivery, Subscription, Transport

AT_ONCE = 100
"""Dead letters that share one transaction, and that one session may hold. Bodies are up to 256 KiB each."""

QUIET_SECONDS = 0.5
"""When the broker has nothing more ready and brings nothing for so long, what it had has arrived."""

PASS_SECONDS = 30.0
"""How long one bounded pass may take; what it has not reached stays in the broker for the next one."""

log: Any = structlog.get_logger()


class Collector:
    """Collects from the dead letters of any queue that these readers know."""

    def __init__(
        self, *, transport: Transport, engine: AsyncEngine, readers: Readers, metrics: DeadLetterMetrics
    ) -> None:
        """Remember whom to ask."""
        self._transport = transport
        self._engine = engine
        self._readers = readers
        self._metrics = metrics

    async def collect_standing(self, queue: str, *, pass_seconds: float = PASS_SECONDS) -> int:
        """Move what stands in the dead letters of a queue now, and return how many deliveries that was.

        Ends when the broker has nothing more, at the latest soon after `pass_seconds`. A crash between commit and ack
        leaves both; the next pass finds the row and acks. Raises what `Transport.subscribe` and `Subscription.inspect`
        raise, and SQLAlchemy's errors, upon which nothing is acked.
        """
        deadline, count = monotonic() + pass_seconds, 0
        async with self._transport.subscribe(f"{queue}.dead", prefetch=AT_ONCE) as dead:
            while monotonic() < deadline and (deliveries := await _arrived(dead, deadline)):
                await self._keep(queue, deliveries, dead)
                count += len(deliveries)
        return count

    async def collect(self, queue: str, dead: Subscription) -> None:
        """Move whatever this session brings, until cancelled. Raises SessionLost at its end, and database errors."""
        while True:
            await self._keep(queue, await dead.take(AT_ONCE), dead)

    async def _keep(self, queue: str, deliveries: Sequence[Delivery], dead: Subscription) -> None:
        now = datetime.now(UTC)
        letters = [read_letter(delivery.message, queue, self._readers, now) for delivery in deliveries]
        recorded = await record(self._engine, letters)
        await dead.ack(deliveries)
        for each in recorded:
            self._report(each)

    def _report(self, recorded: Recorded) -> None:
        letter = recorded.letter
        if recorded.is_news:
            self._metrics.count(letter.queue, letter.death.reason)
        log.info(
            "dead_letter.collected" if recorded.is_news else "dead_letter.collected_before",
            dead_letter=recorded.id,
            queue=letter.queue,
            message_id=letter.message_id,
            type=letter.type,
            correlation_id=letter.correlation_id,
            reason=letter.death.reason,
            fingerprint=letter.death.fingerprint,
            replays=letter.death.replays,
            state=str(recorded.state),
        )


async def _arrived(dead: Subscription, deadline: float) -> Sequence[Delivery]:
    """Return what the session brings next; nothing when the queue is empty, or when the time is up."""
    while monotonic() < deadline:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                return await dead.take(AT_ONCE)
        except TimeoutError:
            if not (await dead.inspect()).messages:
                break
    return []
