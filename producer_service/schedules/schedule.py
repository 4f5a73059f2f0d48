"""A schedule as it is declared: what is said, when, and what becomes of a tick that nobody was there for."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts import Contract, Lane

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""It is a key in a table, and a label in metrics."""

MOST_MADE_UP_FOR = 1000
"""Ticks. They are fired in one transaction."""


class Missed(StrEnum):
    """What becomes of ticks that passed more than a minute ago while nobody kept the schedule."""

    SKIP = "skip"
    """Nothing: what they would have said is of no use any more."""
    LATEST = "latest"
    """The latest of them is fired, unless one is due on time: one run makes up for all."""
    ALL = "all"
    """Each is fired, in order; of more than `most` the latest."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """The tick that is fired, in UTC, and the transaction in which it is: what is said may be read there."""

    tick: datetime
    session: AsyncSession


Says = Callable[[Occasion], Awaitable[Contract | None]]
"""Returns the message for one tick, or None when there is nothing to say. It must not commit, nor reach outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A name that never changes, the times as cron writes them, and what is said then.

    `cron` has five fields, or six with the seconds in front, and means the clock on the wall in `time_zone`. Where that
    clock is turned, cron's own rules hold: fixed times that are skipped are made up for right after, and those that
    come twice are kept once; what runs every so many minutes or hours goes on evenly.
    Raises ValueError, naming the field, for what could never work.
    """

    name: str
    cron: str
    says: Says
    time_zone: str = "UTC"
    missed: Missed = Missed.LATEST
    most: int = 100
    lane: Lane | None = None
    """That of what is said, unless another is given."""

    def __post_init__(self) -> None:
        """Refuse it where it is declared, not at night."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is not lower-case letters, digits, - and _, at most 63")
        if not 1 <= self.most <= MOST_MADE_UP_FOR:
            raise ValueError(f"most: {self.most} is not between 1 and {MOST_MADE_UP_FOR}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"time_zone: {self.time_zone!r} is not in the tz database; write Europe/Berlin") from None
        try:
            next(CronSim(self.cron, datetime.now(UTC)))
        except CronSimError as error:
            raise ValueError(f"cron: {self.cron!r}: {error}") from None
        except StopIteration:
            raise ValueError(f"cron: {self.cron!r} never comes") from None

    @property
    def explained(self) -> str:
        """Say the times in English."""
        return CronSim(self.cron, datetime.now(UTC)).explain()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)
