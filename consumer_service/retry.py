"""When to try again: a pure decision from an error and an attempt number."""

from dataclasses import dataclass, field
from datetime import timedelta

from consumer_service.outcome import (
    DeadLetter,
    PermanentFailure,
    Reason,
    Retry,
    TemporaryFailure,
    describe,
    fingerprint,
)

DEFER = timedelta(seconds=5)
"""The wait of a delivery that could not be started at all: its twin is being worked on, or the database is away."""

LONGEST_WISH = timedelta(days=1)
"""No other side makes us wait longer than this, whatever it asks for."""

STEEPEST_GROWTH = 100.0
"""Steeper is a slip of the pen, and its sixtieth power would not fit a float."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits grow: `first`, `first * growth`, `first * growth**2`, ..., never more than `longest`.

    The default makes 9 attempts over about 17 hours (5 s, 25 s, 2 min, 10 min, 52 min, 4 h 20 min, 6 h, 6 h),
    because a mail server that greylists wants half an hour and an outage lasts a night. `jitter` spreads each wait
    by that share, up and down. `never` lists exceptions that are permanent for this task.
    """

    limit: int = 9
    first: timedelta = timedelta(seconds=5)
    growth: float = 5.0
    longest: timedelta = timedelta(hours=6)
    jitter: float = 0.2
    never: tuple[type[Exception], ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a policy that makes no sense, when it is written rather than when it is needed."""
        if self.limit < 1 or not 1 <= self.growth <= STEEPEST_GROWTH or not 0 <= self.jitter < 1:
            raise ValueError(f"{self!r}: limit is at least 1, growth is in [1, {STEEPEST_GROWTH:g}], jitter in [0, 1)")
        if self.first <= timedelta(0) or self.longest <= timedelta(0):
            raise ValueError(f"{self!r}: first and longest are positive")

    def delay(self, attempt: int, draw: float = 0.5) -> timedelta:
        """Return the wait after this attempt (from 1); `draw` in [0, 1) is the jitter's dice, 0.5 meaning none."""
        steps = min(attempt - 1, 60)
        wait = min(self.first.total_seconds() * self.growth**steps, self.longest.total_seconds())
        return timedelta(seconds=wait * (1 + self.jitter * (2 * draw - 1)))

    def decide(self, task: str, error: Exception, attempt: int, draw: float) -> Retry | DeadLetter:
        """Decide what becomes of a delivery whose attempt number `attempt` raised `error`."""
        if isinstance(error, (PermanentFailure, *self.never)):
            return DeadLetter(Reason.PERMANENT_FAILURE, describe(error), fingerprint(task, error))
        if attempt >= self.limit:
            return DeadLetter(Reason.RETRIES_EXHAUSTED, describe(error), fingerprint(task, error))
        wished = (error.retry_after if isinstance(error, TemporaryFailure) else None) or timedelta(0)
        return Retry(max(self.delay(attempt, draw), min(wished, LONGEST_WISH)), describe(error))
