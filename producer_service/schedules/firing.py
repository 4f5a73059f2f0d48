"""Firing: the tick's row, its message and how far the schedule has come are committed together, or not at all.

A crash anywhere leaves the tick to whoever looks next; two who look at once agree by the tick's key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Insert, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.clock import now
from producer_service.models import OutboxRow
from producer_service.schedule_tables import ScheduleRow, TickRow
from producer_service.schedules.schedule import Occasion, Schedule
from producer_service.schedules.ticks import Due, due, message_id
from producer_service.unit_of_work import Travel, UnitOfWork

REMEMBERED = timedelta(days=90)
"""How long a fired tick can be looked up. It is never fired again whether it is remembered or not."""

Clock = Callable[[AsyncSession], Awaitable[datetime]]
"""Tells what time it is."""


async def database_clock(session: AsyncSession) -> datetime:
    """Tell the time by the database's clock, the one that every scheduler shares."""
    return (await session.execute(select(now()))).scalar_one()


@dataclass(frozen=True, slots=True)
class Fired:
    """A tick that was fired by this process, and the message that was recorded for it, if there was one."""

    tick: datetime
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one look at a schedule, at the moment `at`."""

    at: datetime
    fired: tuple[Fired, ...] = ()
    missed: int = 0
    more: bool = False
    """Whether the next look should follow at once."""


class Firing:
    """Fires what is due, a schedule at a time."""

    def __init__(self, *, unit_of_work: Callable[[Travel], UnitOfWork], clock: Clock = database_clock) -> None:
        """`unit_of_work` opens one transaction for one look."""
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def look(self, schedule: Schedule) -> Looked:
        """Fire what is due, unless the schedule is paused or another process is at it. Waits for nobody.

        A schedule that is seen for the first time begins now. Raises what the database or `says` raises; nothing has
        happened then, and the next look does it.
        """
        async with self._unit_of_work(Travel()) as unit:
            at = await self._clock(unit.session)
            state = (await unit.session.execute(_free_state(schedule))).one_or_none()
            if state is None:
                return await _begin(unit, schedule, at)
            wanted = None if state.paused_at else due(schedule, state.through, at)
            if wanted is None:
                return Looked(at)
            fired = [await _fire(unit, schedule, tick, at) for tick in wanted.fire]
            moved = await _go_on(unit.session, schedule, state.through, wanted)
            await unit.commit()
        return Looked(at, tuple(each for each in fired if each), wanted.missed if moved else 0, wanted.more)


def _free_state(schedule: Schedule) -> Any:
    state = select(ScheduleRow.through, ScheduleRow.paused_at).where(ScheduleRow.name == schedule.name)
    return state.with_for_update(skip_locked=True)


async def _begin(unit: UnitOfWork, schedule: Schedule, at: datetime) -> Looked:
    """Remember a schedule that is new. One whose row another process has locked is there already, and stays."""
    await unit.session.execute(_insert(unit.session, ScheduleRow, name=schedule.name, through=at))
    await unit.commit()
    return Looked(at)


async def _fire(unit: UnitOfWork, schedule: Schedule, tick: datetime, at: datetime) -> Fired | None:
    """Record the tick's message; None when the tick was fired before."""
    row = _insert(unit.session, TickRow, schedule=schedule.name, tick=tick, fired_at=at)
    inserted: CursorResult[Any] = await unit.session.execute(row)  # type: ignore[assignment]  # it is one for an INSERT
    if not inserted.rowcount:
        return None
    message = await schedule.says(Occasion(tick, unit.session))
    if message is None:
        return Fired(tick, None)
    recorded = unit.record(message, lane=schedule.lane, message_id=await _free_id(unit.session, schedule, tick))
    this = (TickRow.schedule == schedule.name, TickRow.tick == tick)
    await unit.session.execute(update(TickRow).where(*this).values(message_id=recorded))
    return Fired(tick, recorded)


async def _free_id(session: AsyncSession, schedule: Schedule, tick: datetime) -> str | None:
    """Return the id that follows from the tick, unless another message has it; then any other will do.

    Anybody can reckon it out, and services that send over HTTP name their own ids: none shall keep a tick from us.
    """
    wanted = message_id(schedule, tick)
    taken = (await session.execute(select(OutboxRow.position).where(OutboxRow.id == wanted))).first()
    return None if taken else wanted


async def _go_on(session: AsyncSession, schedule: Schedule, before: datetime, wanted: Due) -> bool:
    """Move on, unless somebody else has; and forget ticks of long ago."""
    this = (ScheduleRow.name == schedule.name, ScheduleRow.through == before)
    moved: CursorResult[Any] = await session.execute(  # type: ignore[assignment]  # it is one for an UPDATE
        update(ScheduleRow).where(*this).values(through=wanted.through)
    )
    old = (TickRow.schedule == schedule.name, TickRow.tick < wanted.through - REMEMBERED)
    await session.execute(delete(TickRow).where(*old))
    return bool(moved.rowcount)


def _insert(session: AsyncSession, table: type[ScheduleRow] | type[TickRow], **values: Any) -> Insert:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**values).on_conflict_do_nothing()
