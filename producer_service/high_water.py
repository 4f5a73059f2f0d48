"""When the outbox holds too much: refusing new work for a while, instead of filling the database's disk.

The policy: above the mark nothing more is accepted; below four fifths of it everything is again. In between, what holds
stays, so that a service at its limit does not say yes and no in turns.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from producer_service.database import DATABASE_ERRORS

RELEASED_AT = 0.8
"""Of the mark. Far enough below it that the relay has made real progress."""

SAMPLE_SECONDS = 2.0
"""Between two counts; so long the mark may be exceeded unnoticed."""

COUNT_SECONDS = 2.0
"""A count stops at the mark, so it takes no longer for an outbox of millions."""

ROOM_SECONDS = 15
"""What a client is told to wait for room in the outbox. Longer than a count takes to notice that there is."""

Count = Callable[[int], Awaitable[int]]
"""Counts pending rows, but stops at the number given."""


class HighWater:
    """Whether the outbox is full. Counted beside the requests, never by one; an outbox nobody has counted is not."""

    def __init__(self, mark: int, *, refused: Callable[[], object]) -> None:
        """`mark` in pending rows; 0 means that the outbox is never full. `refused` is called for each refusal."""
        self.mark = mark
        self._refused = refused
        self.pending = 0
        """As counted last, and at most one more than the mark."""
        self.full = False
        self._log: Any = structlog.get_logger()

    def observe(self, pending: int) -> None:
        """Take a count."""
        self.pending = pending
        full = bool(self.mark) and pending > (self.mark * RELEASED_AT if self.full else self.mark)
        if full and not self.full:
            self._log.error("outbox.full", high_water=self.mark)
        if self.full and not full:
            self._log.info("outbox.accepts_again", pending=pending)
        self.full = full

    def turn_away(self) -> bool:
        """Tell whether a request that would record a message must be refused."""
        if self.full:
            self._refused()
        return self.full

    async def watch(self, count: Count, *, every: float = SAMPLE_SECONDS, count_seconds: float = COUNT_SECONDS) -> None:
        """Count again and again, until cancelled. A database that does not answer changes nothing: what holds stays."""
        while self.mark:
            try:
                async with asyncio.timeout(count_seconds):
                    self.observe(await count(self.mark + 1))
            except DATABASE_ERRORS as error:
                self._log.warning("outbox.not_counted", error=type(error).__name__)
            await asyncio.sleep(every)
