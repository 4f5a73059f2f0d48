"""What an operator asks of schedules, and does to them: look, pause, resume, fire now. All of it is on record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.clock import now
from producer_service.interventions import Operator
from producer_service.schedule_tables import ScheduleAction, ScheduleRow, TickRow
from producer_service.schedules.firing import database_clock
from producer_service.schedules.schedule import Occasion, Schedule
from producer_service.unit_of_work import Travel, UnitOfWork


@dataclass(frozen=True, slots=True)
class State:
    """How far a schedule has come."""

    paused_at: datetime | None
    last_tick: datetime | None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator did."""

    at: datetime
    by: str
    action: str
    schedule: str
    message_id: str | None
    why: str


class Tending:
    """Asks and changes. Every call is one short transaction of its own."""

    def __init__(self, unit_of_work: Callable[[Travel], UnitOfWork]) -> None:
        """`unit_of_work` opens one transaction."""
        self._unit_of_work = unit_of_work

    async def states(self) -> Mapping[str, State]:
        """Return the state of every schedule that was ever looked at."""
        last = select(TickRow.schedule, func.max(TickRow.tick).label("tick")).group_by(TickRow.schedule).subquery()
        found = select(ScheduleRow.name, ScheduleRow.paused_at, last.c.tick).outerjoin(
            last, last.c.schedule == ScheduleRow.name
        )
        async with self._unit_of_work(Travel()) as unit:
            return {name: State(paused_at, tick) for name, paused_at, tick in await unit.session.execute(found)}

    async def pause(self, schedule: Schedule, operator: Operator) -> bool:
        """Let no tick be fired until it is resumed; return whether that changes anything. Waits for one being fired."""
        async with self._unit_of_work(Travel()) as unit:
            changed = await _pause(unit.session, schedule)
            if changed:
                await _write_down(unit.session, "pause", schedule, operator)
                await unit.commit()
        return changed

    async def resume(self, schedule: Schedule, operator: Operator) -> bool:
        """Let ticks be fired from now on; return whether that changes anything. What was paused is not made up for."""
        paused = update(ScheduleRow).where(ScheduleRow.name == schedule.name, ScheduleRow.paused_at.is_not(None))
        resumed = paused.values(paused_at=None, through=now()).returning(ScheduleRow.name)
        async with self._unit_of_work(Travel()) as unit:
            changed = (await unit.session.execute(resumed)).scalar_one_or_none() is not None
            if changed:
                await _write_down(unit.session, "resume", schedule, operator)
                await unit.commit()
        return changed

    async def run_now(self, schedule: Schedule, operator: Operator) -> str | None:
        """Say now what the schedule says, paused or not; return the message's id, or None when it has nothing to say.

        It is no tick: the next one is fired as if nothing had happened.
        """
        async with self._unit_of_work(Travel()) as unit:
            message = await schedule.says(Occasion(await database_clock(unit.session), unit.session))
            recorded = unit.record(message, lane=schedule.lane) if message else None
            await _write_down(unit.session, "run-now", schedule, operator, recorded)
            await unit.commit()
        return recorded

    async def actions(self, limit: int) -> Sequence[Action]:
        """Return what operators did, the latest first."""
        columns = [getattr(ScheduleAction, name) for name in Action.__slots__]
        found = select(*columns).order_by(ScheduleAction.id.desc()).limit(limit)
        async with self._unit_of_work(Travel()) as unit:
            return [Action(*row) for row in await unit.session.execute(found)]


async def _pause(session: AsyncSession, schedule: Schedule) -> bool:
    """Pause; one that no scheduler has seen yet gets its row now."""
    running = update(ScheduleRow).where(ScheduleRow.name == schedule.name, ScheduleRow.paused_at.is_(None))
    paused = running.values(paused_at=now()).returning(ScheduleRow.name)
    if (await session.execute(paused)).scalar_one_or_none() is not None:
        return True
    known = select(ScheduleRow.name).where(ScheduleRow.name == schedule.name)
    if (await session.execute(known)).scalar_one_or_none() is not None:
        return False
    await session.execute(insert(ScheduleRow).values(name=schedule.name, through=now(), paused_at=now()))
    return True


async def _write_down(
    session: AsyncSession, action: str, schedule: Schedule, operator: Operator, message_id: str | None = None
) -> None:
    done = {"at": now(), "by": operator.by, "why": operator.why, "action": action, "schedule": schedule.name}
    await session.execute(insert(ScheduleAction).values(**done, message_id=message_id))
