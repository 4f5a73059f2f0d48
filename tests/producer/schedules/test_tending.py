import pytest
from sqlalchemy import update
from support.operators import ADA
from support.schedules import a_schedule, says_nothing

from producer_service.schedule_tables import ScheduleRow
from producer_service.schedules.firing import Firing
from producer_service.schedules.tending import State, Tending
from producer_service.unit_of_work import units_on


@pytest.fixture
def tending(engine):
    return Tending(units_on(engine, source="/here"))


@pytest.fixture
def looks(engine, schedule, clock):
    """Look at the schedule, and return how many ticks were fired."""

    async def looks(minutes=0):
        clock.goes_on(minutes=minutes)
        firing = Firing(unit_of_work=units_on(engine, source="/here"), clock=clock)
        return len((await firing.look(schedule)).fired)

    return looks


async def test_a_paused_schedule_fires_nothing_and_what_it_missed_is_not_made_up_for(
    tending, looks, schedule, clock, engine, fired
):
    await looks()

    changed = [await tending.pause(schedule, ADA), await tending.pause(schedule, ADA)]
    paused = await looks(minutes=5)
    changed += [await tending.resume(schedule, ADA), await tending.resume(schedule, ADA)]
    async with engine.begin() as connection:
        await connection.execute(update(ScheduleRow).values(through=clock.now))

    assert (changed, paused, await looks(), await looks(minutes=1)) == ([True, False, True, False], 0, 0, 1)
    assert await fired() == ["12:06"]


async def test_a_schedule_can_be_paused_before_anybody_has_looked_at_it(tending, looks, schedule):
    assert await tending.pause(schedule, ADA)

    assert await looks(minutes=5) == 0


async def test_what_is_said_now_is_no_tick_and_needs_no_tick(tending, looks, schedule, rows, fired):
    await looks()
    await tending.pause(schedule, ADA)

    recorded = await tending.run_now(schedule, ADA)

    assert [row.id for row in await rows()] == [recorded]
    assert await fired() == []
    assert await tending.run_now(a_schedule(says=says_nothing), ADA) is None


async def test_states_tell_the_last_tick_and_whether_it_is_paused(tending, looks, schedule, clock):
    assert await tending.states() == {}
    await looks()
    assert await tending.states() == {"hello": State(None, None)}

    await looks(minutes=1)
    await tending.pause(schedule, ADA)

    state = (await tending.states())["hello"]
    assert (state.last_tick, state.paused_at is None) == (clock.now.replace(second=0), False)


async def test_every_action_is_on_record_with_who_what_and_why_and_what_changed_nothing_is_not(tending, schedule):
    await tending.pause(schedule, ADA)
    await tending.pause(schedule, ADA)
    recorded = await tending.run_now(schedule, ADA)

    actions = [(each.by, each.why, each.action, each.schedule, each.message_id) for each in await tending.actions(10)]

    assert actions == [(ADA.by, ADA.why, "run-now", "hello", recorded), (ADA.by, ADA.why, "pause", "hello", None)]
    assert len(await tending.actions(1)) == 1
