"""The scheduler: looks at every schedule when it is due, for as long as it runs. Any number may run; none leads."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any

import structlog

from producer_service.backoff import Backoff
from producer_service.database import DATABASE_ERRORS
from producer_service.metrics import Metrics
from producer_service.relay import wait_first_of
from producer_service.schedules.firing import Firing, Looked
from producer_service.schedules.schedule import Schedule
from producer_service.schedules.ticks import is_on_time, ticks_after
from producer_service.trouble import Trouble, describe

LONGEST_REST = 10.0
"""Seconds. So long it may take to notice that a clock was set, or a schedule was resumed."""

LOOK_SECONDS = 25.0
"""For one look at one schedule. Less than the 30 s after which the database ends a transaction that idles."""

TROUBLE = Backoff(first=1.0, most=60.0, least=0.5)


class Scheduler:
    """Keeps schedules. No failure of the database or of one schedule ends it, or keeps it from the others."""

    def __init__(
        self, *, schedules: Sequence[Schedule], firing: Firing, metrics: Metrics, trouble: Backoff = TROUBLE
    ) -> None:
        """Raises ValueError for two schedules of one name."""
        names = [schedule.name for schedule in schedules]
        if len(set(names)) < len(names):
            raise ValueError(f"schedules: two of {sorted(names)} have the same name")
        self._kept = [_Kept(schedule, firing, metrics, trouble) for schedule in schedules]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. A tick is fired at its moment, by the database's clock."""
        while not stop.is_set():
            await wait_first_of([stop], within=await self.turn())

    async def turn(self) -> float:
        """Look at every schedule once; return how long to rest, in seconds."""
        return min([LONGEST_REST, *[await each.look() for each in self._kept]])


class _Kept:
    """One schedule in the care of this process."""

    def __init__(self, schedule: Schedule, firing: Firing, metrics: Metrics, trouble: Backoff) -> None:
        self._schedule = schedule
        self._firing = firing
        self._ticks = metrics.ticks_of(schedule.name)
        self._log: Any = structlog.get_logger().bind(schedule=schedule.name)
        self._trouble = Trouble(log=self._log, backoff=trouble, begins="schedule.interrupted", ends="schedule.resumed")
        self._again_at = 0.0

    async def look(self) -> float:
        """Fire what is due, and say so; return how long to wait for the next look, in seconds."""
        if (patience := self._again_at - monotonic()) > 0:
            return patience
        # What a schedule says is code of its own; whatever goes wrong in it is not the others' trouble.
        (looked,) = await asyncio.gather(self._look_in_time(), return_exceptions=True)
        if isinstance(looked, BaseException):
            return self._fails(looked)
        self._trouble.ends()
        self._tell(looked)
        return 0.0 if looked.more else self._rest(looked.at)

    async def _look_in_time(self) -> Looked:
        async with asyncio.timeout(LOOK_SECONDS):
            return await self._firing.look(self._schedule)

    def _fails(self, error: BaseException) -> float:
        if not isinstance(error, DATABASE_ERRORS):
            self._log.error("schedule.crashed", exc_info=error)
        wait = self._trouble.lasts(describe(error) if isinstance(error, DATABASE_ERRORS) else type(error).__name__)
        self._again_at = monotonic() + wait
        return wait

    def _tell(self, looked: Looked) -> None:
        for fired in looked.fired:
            on_time = is_on_time(fired.tick, looked.at)
            self._ticks["fired" if on_time else "late"].inc()
            self._log.info("schedule.fired", tick=fired.tick.isoformat(), message_id=fired.message_id, late=not on_time)
        if looked.missed:
            self._ticks["missed"].inc(looked.missed)
            self._log.warning("schedule.missed", count=looked.missed, policy=self._schedule.missed)

    def _rest(self, at: datetime) -> float:
        following = next(ticks_after(self._schedule, at), None)
        return LONGEST_REST if following is None else (following - at).total_seconds()
