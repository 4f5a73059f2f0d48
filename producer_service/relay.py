"""The relay: drains the outbox into the broker. The only code that publishes, in the order claim, publish, mark.

A crash between publish and mark publishes again, with the same id: at least once. Nothing here parses a payload.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, NamedTuple

import structlog

from producer_service.backoff import Backoff
from producer_service.claims import Claims
from producer_service.database import DATABASE_ERRORS
from producer_service.metrics import Metrics
from producer_service.outbox import PURGED_AT_ONCE, Outbox
from producer_service.sweep import Sweep
from producer_service.trouble import Trouble, describe
from producer_service.verdicts import Parked, Postponed, Published
from producer_service.waves import Tried, publish_in_waves
from shared.transport import Publisher

BLOCKED_SECONDS = 1.0
POLL = Backoff(first=0.05, most=1.0)
TROUBLE = Backoff(first=1.0, most=30.0, least=0.5)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much the relay does at once, and how long it rests."""

    batch_size: int = 500
    poll: Backoff = POLL
    """Between looks at an outbox in which there was nothing to do."""
    trouble: Backoff = TROUBLE
    """Between tries at a broker or a database that is away."""
    purge_seconds: float = 60.0
    """Between purges."""


class _Drained(NamedTuple):
    """How far one or more claims reached, and what they met."""

    last: int
    full: bool
    found: bool
    unavailable: str | None

    def followed_by(self, other: "_Drained") -> "_Drained":
        """Return what this and the claim behind it met together."""
        reached = other if other.last else self
        return _Drained(reached.last, other.full, self.found or other.found, self.unavailable or other.unavailable)


class Relay:
    """Publishes what the outbox holds, for as long as it runs. No failure of broker or database ends it.

    Any number may run on one PostgreSQL database: none publishes what another has claimed, and the order within an
    aggregate is kept. On SQLite there must be one.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        claims: Claims,
        publisher: Publisher,
        metrics: Metrics,
        wake: asyncio.Event,
        retention: timedelta,
        pace: Pace,
    ) -> None:
        """`wake` is set by whoever commits to the outbox in this process; without it the relay polls."""
        self._outbox = outbox
        self._claims = claims
        self._publisher = publisher
        self._metrics = metrics
        self._wake = wake
        self._retention = retention
        self._pace = pace
        self._log: Any = structlog.get_logger()
        self._sweep = Sweep()
        self._trouble = Trouble(log=self._log, backoff=pace.trouble)
        self._idle_turns = 0
        self._purge_at = 0.0
        self.running = False

    @property
    def interrupted_by(self) -> str:
        """What keeps it from publishing at the moment; empty when nothing does."""
        return self._trouble.reason

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to wait."""
        return self._publisher.blocked

    @property
    def sessions(self) -> int:
        """How many sessions with the broker it has had."""
        return self._publisher.sessions

    async def run(self, stop: asyncio.Event) -> None:
        """Drain until `stop` is set, then return after the batch in hand (about 25 s at the very most)."""
        self.running = True
        try:
            while not stop.is_set():
                rest = await self._turn()
                bells = [stop] if self._trouble.reason else [stop, self._wake]
                await wait_first_of(bells, within=rest)
        finally:
            self.running = False

    async def _turn(self) -> float:
        """Work through one claim; return how long to rest before the next turn, in seconds."""
        if self._publisher.blocked:
            return min(BLOCKED_SECONDS, self._trouble.lasts("the broker has asked publishers to wait"))
        self._wake.clear()
        try:
            busy, unavailable = await self._drain()
            await self._purge_when_due()
        except DATABASE_ERRORS as error:
            return self._trouble.lasts(describe(error))
        if unavailable:
            return self._trouble.lasts(unavailable)
        self._trouble.ends()
        self._idle_turns = 0 if busy else self._idle_turns + 1
        return self._pace.poll.ceiling(self._idle_turns) if self._idle_turns else 0.0

    async def _drain(self) -> tuple[bool, str | None]:
        """Claim, publish, mark. Return whether there may be more to do, and why there was no broker, if so.

        While something is wrong, one claim at a time: a second one would wait for the same broker, holding its rows.
        """
        side_by_side = 1 if self._trouble.reason else self._claims.side_by_side
        drained = await self._drain_beyond(self._sweep.after, side_by_side=side_by_side)
        busy = self._sweep.goes_on(last=drained.last, full=drained.full, found=drained.found, clock=monotonic())
        return busy, drained.unavailable

    async def _drain_beyond(self, after: int, *, side_by_side: int) -> _Drained:
        """Work through one claim and, while the broker takes its time, through the one behind it, if there is one."""
        behind: asyncio.Task[_Drained] | None = None
        try:
            async with self._claims.open(self._pace.batch_size, after=after) as claim:
                if claim.full and side_by_side > 1:
                    behind = asyncio.create_task(self._drain_beyond(claim.last, side_by_side=side_by_side - 1))
                outcome = await publish_in_waves(self._publisher, claim.rows)
                await claim.mark([tried.verdict for tried in outcome.tried])
            self._report(outcome.tried)
        except asyncio.CancelledError:
            if behind is not None:
                behind.cancel()
            raise
        finally:
            # Whatever became of this claim, the other ends by itself, and is not left alone with its error.
            beyond = None if behind is None else await behind
        mine = _Drained(claim.last, claim.full, bool(outcome.tried), outcome.unavailable)
        return mine if beyond is None else mine.followed_by(beyond)

    def _report(self, tried: Sequence[Tried]) -> None:
        for fate, count in Counter(receipt.fate for _, receipt, _ in tried).items():
            self._metrics.published.labels(result=fate).inc(count)
        published = sum(isinstance(verdict, Published) for _, _, verdict in tried)
        postponed = [verdict for _, _, verdict in tried if isinstance(verdict, Postponed)]
        if published:
            self._log.info("outbox.published", count=published)
        if postponed:
            self._log.warning("outbox.postponed", count=len(postponed), error=postponed[0].error)
        for row, _, verdict in tried:
            if isinstance(verdict, Parked):
                self._log.error("outbox.parked", id=row.id, type=row.type, reason=verdict.reason, error=verdict.error)

    async def _purge_when_due(self) -> None:
        """Purge one batch a minute, or one a turn while there is more to purge."""
        if monotonic() < self._purge_at:
            return
        purged = await self._outbox.purge_published(self._retention)
        if purged:
            self._log.info("outbox.purged", count=purged)
        if purged < PURGED_AT_ONCE:
            self._purge_at = monotonic() + self._pace.purge_seconds


async def wait_first_of(bells: Sequence[asyncio.Event], *, within: float) -> None:
    """Wait until one of these is set, or the time is over."""
    waiting = [asyncio.ensure_future(bell.wait()) for bell in bells]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()
