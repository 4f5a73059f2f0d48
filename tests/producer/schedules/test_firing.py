import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import an_envelope
from support.databases import on_postgres, on_sqlite
from support.schedules import a_schedule, interrupt_between_steps, says_a_mail, says_nothing, ticks_of

from producer_service.database import open_engine
from producer_service.outbox import record
from producer_service.schedule_tables import ScheduleRow
from producer_service.schedules.firing import Firing, database_clock
from producer_service.schedules.schedule import Missed
from producer_service.schedules.ticks import message_id
from producer_service.unit_of_work import units_on
from shared.contracts import Lane

STEPS = 16
"""Before and after each of the statements of a look that fires a tick, and its commit."""


class Crashed(BaseException):
    """The process is gone. Nothing in it can catch this."""


class Broken(Exception):
    """Somebody made a mistake."""


@pytest.fixture
async def begun(firing, schedule, clock):
    """Looked at once, half a minute before the next tick."""
    await firing.look(schedule)
    clock.goes_on(seconds=35)
    return firing


async def test_a_schedule_that_is_new_begins_now(firing, schedule, clock, fired):
    first = await firing.look(schedule)
    again = await firing.look(schedule)

    assert (first.fired, again.fired, await fired()) == ((), (), [])
    clock.goes_on(seconds=35)
    assert ticks_of(tick.tick for tick in (await firing.look(schedule)).fired) == ["12:01"]


async def test_a_tick_and_its_message_are_recorded_together_and_once(begun, schedule, fired, rows):
    first, second = await begun.look(schedule), await begun.look(schedule)

    (row,) = await rows()
    (tick,) = first.fired
    assert row.id == tick.message_id == message_id(schedule, tick.tick)
    assert (second.fired, first.missed, await fired()) == ((), 0, ["12:01"])


@on_sqlite
@pytest.mark.parametrize(("lane", "stands"), [(None, Lane.BULK), (Lane.NORMAL, Lane.NORMAL)])
async def test_what_is_said_stands_in_its_own_lane_unless_the_schedule_names_another(begun, rows, lane, stands):
    await begun.look(a_schedule(says=says_a_mail, lane=lane))

    assert [row.lane for row in await rows()] == [stands]


async def test_a_schedule_may_have_nothing_to_say(begun, fired, rows):
    silent = a_schedule(says=says_nothing)

    (tick,) = (await begun.look(silent)).fired

    assert (tick.message_id, await fired(), await rows()) == (None, ["12:01"], [])


async def test_what_was_missed_is_made_up_for_and_counted_once(firing, clock, fired):
    schedule = a_schedule(missed=Missed.ALL, most=2)
    await firing.look(schedule)
    clock.goes_on(minutes=10)

    looked, again = await firing.look(schedule), await firing.look(schedule)

    assert (await fired(), looked.missed, again.missed) == (["12:09", "12:10"], 8, 0)


async def test_a_crash_between_any_two_steps_leaves_the_tick_to_the_next_look(
    begun, database_url, clock, schedule, fired, rows
):
    for doomed_step in range(STEPS):
        doomed, steps = open_engine(database_url), iter(range(100))

        def crash(_step, steps=steps, doomed_step=doomed_step):
            if next(steps) == doomed_step:
                raise Crashed

        interrupt_between_steps(doomed, crash)
        its_firing = Firing(unit_of_work=units_on(doomed, source="/here"), clock=clock)
        (ended,) = await asyncio.gather(its_firing.look(schedule), return_exceptions=True)
        await doomed.dispose()
        assert isinstance(ended, Crashed)
        await begun.look(schedule)
        clock.goes_on(minutes=1)

    assert await fired() == [f"12:{minute:02}" for minute in range(1, STEPS + 1)]
    assert len(await rows()) == STEPS


async def test_what_a_schedule_says_fails_alone_and_fires_once_it_is_mended(begun, fired):
    async def fails(_occasion):
        raise Broken

    with pytest.raises(Broken):
        await begun.look(a_schedule(says=fails))

    assert await fired() == []
    assert len((await begun.look(a_schedule())).fired) == 1


async def test_whoever_takes_the_id_of_a_tick_before_it_comes_keeps_nobody_from_it(
    begun, engine, schedule, clock, fired, rows
):
    """Anybody can reckon it out, and a service may name the ids of what it sends."""
    async with AsyncSession(engine) as session, session.begin():
        record(session, an_envelope(id=message_id(schedule, clock.now.replace(second=0))))

    (tick,) = (await begun.look(schedule)).fired
    clock.goes_on(minutes=1)
    await begun.look(schedule)

    assert await fired() == ["12:01", "12:02"]
    assert [row.id for row in await rows()][1:] == [tick.message_id, message_id(schedule, clock.now.replace(second=0))]


async def test_ticks_of_long_ago_are_forgotten_and_never_fired_again(firing, clock, fired, rows):
    daily = a_schedule(cron="0 0 * * *")
    await firing.look(daily)
    for days in (1, 100):
        clock.goes_on(days=days)
        await firing.look(daily)
    clock.goes_on(days=-100)

    assert (await firing.look(daily)).fired == ()
    assert (len(await fired()), len(await rows())) == (1, 2)


@on_postgres
async def test_who_finds_another_at_a_schedule_goes_on_without_waiting(begun, engine, schedule, fired):
    locked = select(ScheduleRow).where(ScheduleRow.name == schedule.name).with_for_update()

    async with engine.begin() as connection:
        await connection.execute(locked)
        meanwhile = await begun.look(schedule)

    assert (meanwhile.fired, len((await begun.look(schedule)).fired)) == ((), 1)
    assert await fired() == ["12:01"]


async def test_it_goes_by_the_clock_of_the_database(engine):
    firing = Firing(unit_of_work=units_on(engine, source="/here"))

    looked = await firing.look(a_schedule())
    async with units_on(engine, source="/here")(None) as unit:
        assert await database_clock(unit.session) - looked.at < timedelta(seconds=30)
