"""The relay: drains the outbox into the broker. The only code that publishes, in the order claim, publish, mark.

A crash between publish and mark publishes again, with the same id: at least once. Nothing here parses a payload.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog

from producer_service.backoff import Backoff
from producer_service.claims import Claim, Claims
from producer_service.database import DATABASE_ERRORS
from producer_service.metrics import Metrics
from producer_service.outbox import PURGED_AT_ONCE, Outbox
from producer_service.sweep import Sweep
from producer_service.trouble import Trouble, describe
from producer_service.verdicts import Parked, Postponed, Published
from producer_service.waves import Outcome, Tried, publish_in_waves
from shared.transport import Publisher

BLOCKED_SECONDS = 1.0
POLL = Backoff(first=0.01, most=1.0)
TROUBLE = Backoff(first=1.0, most=30.0, least=0.5)

TURNS_WOKEN = 4
"""What a claim that was rung for counts as among turns without work: the next look is 80 ms away, and not 10. Who rings
will ring again, so that at a hundred commits a second there is one claim for each, and not two."""


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
        self._lookout = asyncio.Lock()
        """Held by whoever waits for something to claim."""
        self._rest = 0.0
        """How long the next one on the lookout waits, in seconds."""
        self._left_out = False
        """Whether rows were found since that wait for rows in another claim, which may be one of ours."""
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
        """Drain until `stop` is set, then return after the claims in hand (about 25 s at the very most)."""
        self.running = True
        try:
            await all_or_none([self._relay_until(stop) for _ in range(self._claims.side_by_side)])
        finally:
            self.running = False

    async def _relay_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._turn(stop)
                await self._purge_when_due()
            except DATABASE_ERRORS as error:
                self._rest = self._trouble.lasts(describe(error))

    async def _turn(self, stop: asyncio.Event) -> None:
        """Look out until something can be claimed; while it is published and marked, somebody else looks out.

        While something is wrong nobody else does: a second claim would wait for the same broker, holding its rows.
        """
        async with AsyncExitStack() as looking_out:
            await looking_out.enter_async_context(self._lookout)
            await wait_first_of([stop] if self._trouble.reason else [stop, self._wake], within=self._rest)
            if stop.is_set() or self._is_blocked():
                return
            woken = self._wake.is_set()
            self._wake.clear()
            async with self._claims.open(self._pace.batch_size, after=self._sweep.after) as claim:
                self._plan_the_next(claim, woken=woken)
                if not self._trouble.reason:
                    await looking_out.aclose()
                outcome = await publish_in_waves(self._publisher, claim.rows)
                await claim.mark([tried.verdict for tried in outcome.tried])
            self._conclude(claim, outcome)

    def _is_blocked(self) -> bool:
        if self._publisher.blocked:
            self._rest = min(BLOCKED_SECONDS, self._trouble.lasts("the broker has asked publishers to wait"))
        return self._publisher.blocked

    def _plan_the_next(self, claim: Claim, *, woken: bool) -> None:
        """Decide where the next claim begins, and how long to rest before it unless somebody wakes us."""
        found = bool(claim.rows)
        goes_on = self._sweep.goes_on(last=claim.last, full=claim.full, found=found, clock=monotonic())
        idle_turns = (TURNS_WOKEN if woken else 1) if found else self._idle_turns + 1
        self._idle_turns = 0 if goes_on else idle_turns
        self._rest = self._pace.poll.ceiling(self._idle_turns) if self._idle_turns else 0.0
        self._left_out = self._left_out or claim.left_out

    def _conclude(self, claim: Claim, outcome: Outcome) -> None:
        """Take note of how a claim ended. What waited for its rows, or for a time when it had more, can go now."""
        self._report(outcome.tried)
        if outcome.unavailable:
            self._rest = self._trouble.lasts(outcome.unavailable)
            return
        if self._trouble.reason:
            self._trouble.ends()
            self._rest = 0.0
        if outcome.tried and (self._left_out or len(outcome.tried) < len(claim.rows)):
            self._left_out = False
            self._wake.set()

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
        self._purge_at = monotonic() + self._pace.purge_seconds
        purged = await self._outbox.purge_published(self._retention)
        if purged:
            self._log.info("outbox.purged", count=purged)
        if purged == PURGED_AT_ONCE:
            self._purge_at = 0.0


async def all_or_none(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run these until all have ended. When one fails, end the others, and raise its error."""
    running = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*running)
    finally:
        for each in running:
            each.cancel()
        await asyncio.wait(running)


async def wait_first_of(bells: Sequence[asyncio.Event], *, within: float) -> None:
    """Wait until one of these is set, or the time is over."""
    if within <= 0 or any(bell.is_set() for bell in bells):
        return
    waiting = [asyncio.ensure_future(bell.wait()) for bell in bells]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()
