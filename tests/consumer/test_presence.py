import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import event, select
from support.inboxes import was_last_seen
from support.waiting import eventually

from consumer_service.claim import DEAD_AFTER
from consumer_service.models import WorkerRow
from consumer_service.presence import BEAT_SECONDS, beat, present, worker_name


async def rows(engine):
    async with engine.connect() as connection:
        return {row.id: row for row in await connection.execute(select(WorkerRow.__table__))}


def test_no_two_workers_share_a_name():
    assert len({worker_name() for _ in range(1000)}) == 1000


def test_several_heartbeats_may_be_missed_before_a_worker_counts_as_dead():
    assert DEAD_AFTER.total_seconds() > BEAT_SECONDS * 3


async def test_a_heartbeat_says_who_is_alive_and_what_it_serves(engine):
    await beat(engine, worker="this", queues="consumer.mail")

    assert (await rows(engine))["this"].queues == "consumer.mail"


async def test_a_later_heartbeat_moves_the_time_and_nothing_else(engine):
    await was_last_seen(engine, "this", timedelta(hours=1))
    before = (await rows(engine))["this"]

    await beat(engine, worker="this", queues="consumer.mail")

    after = (await rows(engine))["this"]
    assert after.seen_at - before.seen_at >= timedelta(minutes=59)
    assert after.started_at == before.started_at


async def test_a_worker_is_present_for_as_long_as_the_block_lasts(engine):
    async with present(engine, worker="this", queues="consumer.mail") as seen:
        async with asyncio.timeout(5):
            await seen.wait()
        assert set(await rows(engine)) == {"this"}

    assert await rows(engine) == {}


async def test_the_heartbeat_goes_on(engine):
    async with present(engine, worker="this", queues="consumer.mail", beat_seconds=0.02) as seen:
        await seen.wait()
        await was_last_seen(engine, "this", timedelta(hours=1))
        long_ago = (await rows(engine))["this"].seen_at

        async def has_beaten():
            return (await rows(engine))["this"].seen_at > long_ago

        await eventually(has_beaten)


async def test_a_worker_leaves_no_row_behind_when_it_ends_by_an_error(engine):
    with pytest.raises(ExceptionGroup):
        await fails_while_present(engine)

    assert await rows(engine) == {}


async def fails_while_present(engine):
    async with present(engine, worker="this", queues="consumer.mail") as seen:
        await seen.wait()
        raise RuntimeError("a bug")


async def test_entering_and_leaving_do_not_wait_for_a_database_that_is_away(no_database):
    async with asyncio.timeout(2), present(no_database, worker="this", queues="", beat_seconds=0.01) as seen:
        await asyncio.sleep(0.05)
        assert not seen.is_set()


async def test_a_bug_in_the_heartbeat_ends_what_depends_on_it(engine):
    def fail(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT"):
            raise ZeroDivisionError

    event.listen(engine.sync_engine, "before_cursor_execute", fail)

    with pytest.raises(ExceptionGroup) as ended:
        await is_present_for_ever(engine)

    assert ended.group_contains(ZeroDivisionError)


async def is_present_for_ever(engine):
    async with asyncio.timeout(2), present(engine, worker="this", queues=""):
        await asyncio.Event().wait()
