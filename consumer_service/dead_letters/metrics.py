"""What operators watch of dead letters, in a registry that the collector's root owns."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.dead_letters.letters import BROKERS_WORDS, UNEXPLAINED
from consumer_service.dead_letters.stored import DEATHS, LETTERS
from consumer_service.lifecycle import State
from consumer_service.outcome import Reason
from shared.errors import EnvelopeError

REASONS = frozenset({*Reason, *BROKERS_WORDS, UNEXPLAINED, *(error.reason for error in EnvelopeError.__subclasses__())})
"""The reasons that may be labels. Whoever can write into dead letters could make up any number of others."""


class DeadLetterMetrics:
    """Labels are the queues of this code, known reasons, and states; never ids."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.collected = Counter(
            "tidings_dead_letters_collected",
            "Deaths that were moved from the broker into the table.",
            ["queue", "reason"],
            registry=registry,
        )
        self.letters = Gauge(
            "tidings_dead_letters", "Dead letters in the table, by state.", ["queue", "state"], registry=registry
        )
        self.oldest = Gauge(
            "tidings_dead_letters_oldest_seconds",
            "How long ago the oldest one died that waits for a decision; 0 when none does.",
            ["queue"],
            registry=registry,
        )
        self.replays = Gauge(
            "tidings_dead_letter_replays",
            "Replays in the table: under_way, gone_back (confirmed in the queue), came_back (died again).",
            ["queue", "outcome"],
            registry=registry,
        )

    def count(self, queue: str, reason: str) -> None:
        """Count one death that was collected."""
        self.collected.labels(queue, reason if reason in REASONS else "other").inc()

    async def measure(self, engine: AsyncEngine, queues: tuple[str, ...]) -> None:
        """Set the gauges to what stands in the table."""
        async with engine.connect() as connection:
            standing = select(LETTERS.c.queue, LETTERS.c.state, func.count(), func.min(LETTERS.c.last_died_at))
            rows = list(await connection.execute(standing.group_by(LETTERS.c.queue, LETTERS.c.state)))
            died_again = select(LETTERS.c.queue, func.count()).join(DEATHS, DEATHS.c.dead_letter_id == LETTERS.c.id)
            again = list(await connection.execute(died_again.where(DEATHS.c.replays > 0).group_by(LETTERS.c.queue)))
        found = {(queue, state): (count, oldest) for queue, state, count, oldest in rows}
        came_back = {queue: count for queue, count in again}  # noqa: C416 - dict() does not take rows
        for queue in queues:
            self._set(queue, found, came_back.get(queue, 0))

    def _set(self, queue: str, found: dict[tuple[str, str], tuple[int, datetime]], came_back: int) -> None:
        counts = {state: found[queue, state][0] if (queue, state) in found else 0 for state in State}
        for state, count in counts.items():
            self.letters.labels(queue, state).set(count)
        waiting = found.get((queue, State.WAITING))
        self.oldest.labels(queue).set((datetime.now(UTC) - waiting[1]).total_seconds() if waiting else 0)
        self.replays.labels(queue, "under_way").set(counts[State.REPLAYING])
        self.replays.labels(queue, "gone_back").set(counts[State.REPLAYED])
        self.replays.labels(queue, "came_back").set(came_back)
