"""When a message may be published: now, at a moment, or after a while."""

from datetime import UTC, datetime, timedelta

from producer_service.clock import FromNow

LONGEST_DELAY = timedelta(days=366)
"""What is wished for later than in a year is better kept where it can be changed: in a table of its own."""


def moment_of_delivery(
    *, deliver_at: datetime | None, delay: timedelta | None, longest: timedelta = LONGEST_DELAY
) -> datetime | FromNow | None:
    """Return the moment to publish at, or None for at once. A delay is counted by the database's clock.

    A moment that has passed means at once, too. Raises ValueError, naming what is wrong, for a moment without a zone,
    a negative delay, both at a time, and what lies further ahead than `longest`.
    """
    if deliver_at is not None and delay is not None:
        raise ValueError("deliver_at and delay: give one of them, not both")
    if delay is not None:
        return _after(delay, longest)
    return None if deliver_at is None else _at(deliver_at, longest)


def _after(delay: timedelta, longest: timedelta) -> FromNow | None:
    if delay < timedelta(0):
        raise ValueError(f"delay: {delay} is negative; leave it out to publish at once")
    if delay > longest:
        raise ValueError(f"delay: {delay} is longer than the longest that is kept, {longest}")
    return FromNow(delay.total_seconds()) if delay else None


def _at(deliver_at: datetime, longest: timedelta) -> datetime:
    if deliver_at.tzinfo is None:
        raise ValueError("deliver_at: a moment needs a time zone, as in 2026-11-22T14:30+01:00")
    if deliver_at - datetime.now(UTC) > longest:
        raise ValueError(f"deliver_at: {deliver_at.isoformat()} lies further ahead than {longest}, the longest delay")
    return deliver_at
