import asyncio
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import event, select, update
from structlog.testing import capture_logs
from support.databases import on_postgres, on_sqlite
from support.mortal_schedulers import SECOND_BY_SECOND
from support.repository import ROOT
from support.schedules import a_schedule, interrupt_between_steps
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.database import open_engine
from producer_service.models import OutboxRow, Status
from producer_service.schedule_tables import TickRow
from producer_service.schedules.firing import Firing
from producer_service.schedules.schedule import Missed
from producer_service.schedules.scheduler import Scheduler
from producer_service.timer import Timer
from producer_service.unit_of_work import units_on

AT_ONCE = Backoff(first=0.01, most=0.01)


class Crashed(BaseException):
    """The process is gone. Nothing in it can catch this."""


async def fails(_occasion):
    raise RuntimeError("a canary")


@pytest.fixture
def make_scheduler(firing, metrics):
    def make(*schedules):
        return Scheduler(schedules=schedules, firing=firing, metrics=metrics, trouble=AT_ONCE)

    return make


@pytest.fixture
def counted(registry):
    def counted(outcome, schedule="hello"):
        return registry.get_sample_value("tidings_schedule_ticks_total", {"schedule": schedule, "outcome": outcome})

    return counted


async def test_it_rests_until_the_next_tick_and_never_longer_than_ten_seconds(make_scheduler, clock):
    scheduler = make_scheduler(a_schedule(), a_schedule(name="nightly", cron="0 0 * * *"))

    assert await scheduler.turn() == 10.0
    clock.goes_on(seconds=28)
    assert await scheduler.turn() == 2.0


async def test_ticks_are_counted_and_told_by_what_became_of_them(make_scheduler, clock, counted):
    scheduler = make_scheduler(a_schedule())
    await scheduler.turn()

    with capture_logs() as lines:
        for minutes in (1, 5):
            clock.goes_on(minutes=minutes)
            await scheduler.turn()
        clock.goes_on(seconds=95)
        await scheduler.turn()

    assert [line["event"] for line in lines] == [
        "schedule.fired",
        "schedule.fired",
        "schedule.missed",
        "schedule.fired",
        "schedule.missed",
    ]
    assert (lines[0]["schedule"], lines[0]["tick"], lines[0]["late"]) == ("hello", "2026-11-22T12:01:00+00:00", False)
    assert (counted("fired"), counted("late"), counted("missed")) == (3, 0, 5)


@on_sqlite
async def test_a_tick_that_is_made_up_for_is_late(make_scheduler, clock, counted):
    scheduler = make_scheduler(a_schedule(cron="0 * * * *"))
    await scheduler.turn()
    clock.goes_on(hours=1, minutes=5)

    await scheduler.turn()

    assert (counted("fired"), counted("late"), counted("missed")) == (0, 1, 0)


@on_sqlite
async def test_one_schedule_that_fails_keeps_no_other_from_its_ticks(make_scheduler, clock, counted):
    scheduler = make_scheduler(a_schedule(name="broken", says=fails), a_schedule())
    await scheduler.turn()
    clock.goes_on(seconds=35)

    with capture_logs() as lines:
        assert await scheduler.turn() <= 0.01

    assert [line["event"] for line in lines] == ["schedule.crashed", "schedule.interrupted", "schedule.fired"]
    assert "a canary" not in str([line for line in lines if line["event"] == "schedule.interrupted"])
    assert (counted("fired", "broken"), counted("fired")) == (0, 1)


@on_sqlite
async def test_a_database_that_is_away_is_told_once_and_its_ticks_are_fired_when_it_is_back(
    make_scheduler, clock, engine, fired
):
    scheduler, stop = make_scheduler(a_schedule()), asyncio.Event()
    await scheduler.turn()
    clock.goes_on(seconds=35)

    def fail(*_):
        raise OSError("away")

    event.listen(engine.sync_engine, "before_cursor_execute", fail)
    with capture_logs() as lines:
        running = asyncio.create_task(scheduler.run(stop))
        await eventually(lambda: lines)
        event.remove(engine.sync_engine, "before_cursor_execute", fail)
        await eventually(lambda: len(lines) == 3)
    stop.set()
    await running

    assert [line["event"] for line in lines] == ["schedule.interrupted", "schedule.resumed", "schedule.fired"]
    assert await fired() == ["12:01"]


def test_two_schedules_of_one_name_are_refused(metrics):
    with pytest.raises(ValueError, match="the same name"):
        Scheduler(schedules=[a_schedule(), a_schedule()], firing=Firing(unit_of_work=list), metrics=metrics)


@on_postgres
@pytest.mark.slow
async def test_three_schedulers_that_crash_at_random_fire_every_tick_of_an_hour_once(
    engine, database_url, clock, metrics
):
    dice, engines = Random(7), [open_engine(database_url) for _ in range(3)]  # noqa: S311 - reproducible, not secret
    schedules = [a_schedule(missed=Missed.ALL), a_schedule(name="seldom", cron="*/10 * * * *", missed=Missed.ALL)]

    crashes: list[str] = []

    def crash(step):
        if dice.random() < 0.02:
            crashes.append(step)
            raise Crashed

    for each in engines:
        interrupt_between_steps(each, crash)

    async def turn(its_engine):
        scheduler = Scheduler(
            schedules=schedules,
            firing=Firing(unit_of_work=units_on(its_engine, source="/here"), clock=clock),
            metrics=metrics,
        )
        await asyncio.gather(scheduler.turn(), return_exceptions=True)

    begin = clock.now
    with capture_logs():
        while clock.now <= begin + timedelta(hours=1):
            await asyncio.gather(*(turn(each) for each in engines))
            clock.goes_on(seconds=40)
        clock.now = begin + timedelta(hours=1)
        await turn(engine)
    for each in engines:
        await each.dispose()

    noon = begin.replace(second=0)
    ticks = {("hello", noon + timedelta(minutes=minute)) for minute in range(1, 61)}
    ticks |= {("seldom", noon + timedelta(minutes=minute)) for minute in range(10, 61, 10)}
    fired, messages = await ticks_and_messages(engine)
    assert (len(fired), set(fired)) == (66, ticks)
    assert Counter(messages) == Counter(fired.values())
    assert set(crashes) == ENDS


async def ticks_and_messages(engine):
    """Return the ticks that were fired, each with the id of its message; and the ids of all messages in the outbox."""
    async with engine.connect() as connection:
        ticks = await connection.execute(select(TickRow.schedule, TickRow.tick, TickRow.message_id))
        fired = {(row.schedule, row.tick): row.message_id for row in ticks}
        return fired, list((await connection.execute(select(OutboxRow.id))).scalars())


PROCESSES = 40
"""More than a turn has steps, so that each is died at."""

ENDS = {f"{when} {what}" for when in ("before", "after") for what in ("do_execute", "do_commit")}


@on_postgres
@pytest.mark.slow
async def test_processes_that_are_killed_between_any_two_steps_fire_every_tick_and_let_every_row_fall_due_once(
    engine, database_url, recorded
):
    delayed = await recorded(*(UUID(int=number) for number in range(PROCESSES)))
    async with engine.begin() as connection:
        await connection.execute(update(OutboxRow).values(status=Status.DELAYED, deliver_at=OutboxRow.recorded_at))

    ended = await asyncio.to_thread(run_and_kill, database_url)
    await Timer(engine, wake=lambda: None).fall_due()
    await Firing(unit_of_work=units_on(engine, source="/here")).look(SECOND_BY_SECOND)

    fired, messages = await ticks_and_messages(engine)
    moments = sorted(tick for _, tick in fired)
    assert (len(ended), set(ended)) == (PROCESSES, ENDS)
    assert moments == [moments[0] + timedelta(seconds=number) for number in range(len(moments))]
    assert len(moments) > 1
    assert Counter(messages) == Counter([*delayed, *fired.values()])
    async with engine.connect() as connection:
        assert set((await connection.execute(select(OutboxRow.status))).scalars()) == {"pending"}


def run_and_kill(url):
    ran = subprocess.run(
        [sys.executable, "-m", "support.mortal_schedulers", url, str(PROCESSES)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [line for line in ran.stdout.splitlines() if line in ENDS]
