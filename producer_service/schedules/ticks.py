"""The moments of a schedule, and which of them are to be fired now. Pure: no clock, no database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, takewhile
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from cronsim import CronSim

from producer_service.schedules.schedule import Missed, Schedule

SECOND = timedelta(seconds=1)
HALF_A_DAY = timedelta(hours=12)
"""No clock is turned twice within it."""

ON_TIME = timedelta(minutes=1)
"""A tick that is fired within this is on time; later it is late, and the schedule says whether it still counts."""

LOOKED_AT_ONCE = 10_000
"""Ticks: about a tenth of a second of computing. A schedule that nobody kept for a year is caught up with in bites."""

TICKS = UUID("0f2c9f5e-6f0b-5d0e-9a53-6f3f2f7f6b11")
"""The namespace of the ids below. Random, and never changed."""


@dataclass(frozen=True, slots=True)
class Due:
    """What to do now: fire these ticks, in this order, let `missed` others be, and go on behind `through`."""

    fire: tuple[datetime, ...]
    missed: int
    through: datetime
    more: bool = False
    """Whether there is more to look at, at once."""


def ticks_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the schedule's moments after this one, in UTC, each later than the one before, without end."""
    last, fixed = after, CronSim(schedule.cron, after.astimezone(schedule.zone))
    moments = (local.astimezone(UTC) for local in fixed) if fixed.fixup_tz else _evenly(schedule, after)
    for tick in moments:
        # In the hour that comes twice cron begins anew, and a skipped hour brings several times to one moment.
        if tick > last:
            last = tick
            yield tick


def _evenly(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield every moment at which the clock on the wall shows a time of the schedule, for times that are not fixed.

    By clocks that are never turned, one for each stretch between two turns: cronsim goes by whole hours, and so steps
    over times of the hour in which a clock is turned by half of one.
    """
    turned: datetime | None = after.astimezone(UTC).replace(microsecond=0)
    while turned:
        after, offset, turned = turned, (turned + SECOND).astimezone(schedule.zone).utcoffset() or timedelta(0), None
        for local in CronSim(schedule.cron, after.astimezone(timezone(offset))):
            tick = local.astimezone(UTC)
            turned = _turn(schedule.zone, offset, after, tick)
            if turned:
                break
            yield tick
            after = tick


def _turn(zone: ZoneInfo, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """Return the last second, after `after` and before `until`, at which a zone's clock had not left this offset."""
    before = after
    while before < until:
        step = min(before + HALF_A_DAY, until)
        if step.astimezone(zone).utcoffset() != offset:
            return _last_second(zone, offset, before, step)
        before = step
    return None


def _last_second(zone: ZoneInfo, offset: timedelta, before: datetime, turned: datetime) -> datetime:
    while turned - before > SECOND:
        middle = before + ((turned - before) / 2 // SECOND) * SECOND
        before, turned = (middle, turned) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return before


def due(schedule: Schedule, after: datetime, now: datetime) -> Due | None:
    """Return what to do about the ticks after `after` and until `now`; None when there are none."""
    ticks = list(takewhile(lambda tick: tick <= now, islice(ticks_after(schedule, after), LOOKED_AT_ONCE)))
    if not ticks:
        return None
    if len(ticks) == LOOKED_AT_ONCE:
        # What comes behind these decides whether any of the last ones still counts.
        return Due((), LOOKED_AT_ONCE - schedule.most, ticks[-schedule.most - 1], more=True)
    fire = _wanted(schedule, ticks, now)
    return Due(tuple(fire), len(ticks) - len(fire), ticks[-1])


def _wanted(schedule: Schedule, ticks: list[datetime], now: datetime) -> list[datetime]:
    on_time = [tick for tick in ticks if is_on_time(tick, now)]
    match schedule.missed:
        case Missed.SKIP:
            return on_time
        case Missed.LATEST:
            return on_time or ticks[-1:]
        case Missed.ALL:
            return ticks[-max(schedule.most, len(on_time)) :]


def is_on_time(tick: datetime, now: datetime) -> bool:
    """Tell whether a tick that is fired now is on time."""
    return now - tick <= ON_TIME


def message_id(schedule: Schedule, tick: datetime) -> str:
    """Return the id of the message of one tick: the same in every process, and that of no other tick."""
    return str(uuid5(TICKS, f"{schedule.name} {tick.astimezone(UTC).isoformat()}"))
