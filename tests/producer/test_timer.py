import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs
from support.databases import on_postgres, on_sqlite
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.claims import Claims
from producer_service.models import Status
from producer_service.timer import Timer
from shared.contracts import Lane

ANN = UUID(int=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def timer(engine, wake):
    return Timer(engine, wake=wake.set, trouble=Backoff(first=0.02, most=0.02))


@pytest.fixture
def delayed(recorded, change):
    """Record one message for each delay given, and return their ids."""

    async def delayed(*delays, about=None):
        ids = await recorded(*(about or uuid4() for _ in delays))
        for event_id, delay in zip(ids, delays, strict=True):
            await change(event_id, status=Status.DELAYED, deliver_at=datetime.now(UTC) + delay)
        return ids

    return delayed


@pytest.fixture
def running_timer(timer):
    async def start():
        stop = asyncio.Event()
        return stop, asyncio.create_task(timer.run(stop))

    return start


async def test_a_row_is_held_until_its_time_has_come(delayed, timer, claimed, change):
    held, due = await delayed(timedelta(hours=1), -SECOND)

    assert (await claimed(), await timer.fall_due(), await claimed()) == ([], 1, [due])
    await change(held, deliver_at=datetime.now(UTC) - SECOND)
    assert (await timer.fall_due(), await timer.fall_due(), await claimed()) == (1, 0, [held, due])


async def test_a_delayed_row_holds_back_nothing_of_its_aggregate(delayed, recorded, claimed):
    await delayed(timedelta(days=1), about=ANN)
    later = await recorded(ANN, ANN)

    assert await claimed() == later


async def test_the_earliest_fall_due_first(delayed, timer, claimed):
    late, later, latest = await delayed(-3 * SECOND, -2 * SECOND, -SECOND)

    assert (await timer.fall_due(most=2), await claimed()) == (2, [late, later])
    assert (await timer.fall_due(most=2), await claimed()) == (1, [late, later, latest])


async def test_bulk_that_is_due_as_well_keeps_nothing_waiting(delayed, timer, statuses, change):
    *bulk, _code = await delayed(-3 * SECOND, -3 * SECOND, -3 * SECOND, -SECOND)
    for each in bulk:
        await change(each, lane=Lane.BULK)

    assert await timer.fall_due(most=1) == 2

    assert await statuses() == ["pending", "delayed", "delayed", "pending"]
    assert await timer.fall_due() == 2


async def test_it_rests_until_the_next_moment_and_never_longer_than_a_second(delayed, timer, change):
    assert await timer.rest() == 1.0
    (event_id,) = await delayed(timedelta(days=1))
    assert await timer.rest() == 1.0

    await change(event_id, deliver_at=datetime.now(UTC) + SECOND / 2)
    soon = await timer.rest()
    await change(event_id, deliver_at=datetime.now(UTC) - SECOND)

    assert 0 < soon <= 0.5
    assert await timer.rest() == 0


async def test_a_running_timer_wakes_the_relay_when_a_moment_has_come(delayed, running_timer, statuses, wake):
    await delayed(SECOND / 5)

    stop, running = await running_timer()
    await asyncio.wait_for(wake.wait(), 5)
    stop.set()
    await running

    assert await statuses() == ["pending"]


@on_sqlite
async def test_a_database_that_fails_is_told_once_and_tried_again(engine, running_timer, delayed, statuses):
    await delayed(-SECOND)

    def fail(*_):
        raise OSError("away")

    event.listen(engine.sync_engine, "before_cursor_execute", fail)
    with capture_logs() as lines:
        stop, running = await running_timer()
        await eventually(lambda: lines)
        event.remove(engine.sync_engine, "before_cursor_execute", fail)
        await eventually(lambda: len(lines) == 2)
    stop.set()
    await running

    assert [line["event"] for line in lines] == ["timer.interrupted", "timer.resumed"]
    assert await statuses() == ["pending"]


@on_postgres
async def test_two_timers_share_the_work_and_no_row_falls_due_twice(delayed, timer, engine, wake):
    await delayed(*[-SECOND] * 40)

    fallen = await asyncio.gather(*(each.fall_due(most=10) for each in [timer, Timer(engine, wake=wake.set)] * 2))

    assert sum(fallen) == 40 - await timer.fall_due()


@on_postgres
async def test_however_many_rows_are_delayed_claims_and_the_timer_go_by_their_indexes(engine, timer, explained):
    async with engine.begin() as connection:
        await connection.execute(text(MANY_DELAYED))
        await connection.execute(text("ANALYZE outbox"))

    claiming = await explained(lambda: claim_only(engine))
    falling, resting = await explained(timer.fall_due), await explained(timer.rest)

    assert "outbox_pending" in claiming
    assert "outbox_delayed_by_lane" in falling
    assert "outbox_delayed" in resting
    assert not any("Seq Scan" in plan for plan in (claiming, falling, resting))
    assert "Sort" not in falling + resting


async def claim_only(engine):
    """Ask what a claim asks; by itself, it has the driver do so, and nobody here could listen."""
    async with engine.connect() as connection:
        await connection.execute(Claims(engine)._search, {"most": 500, "after": 0})


MANY_DELAYED = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at, status, deliver_at)
    SELECT 'e' || n, 'user', 'u' || n, 'user.created', '', 'domain.events', '/t', 'c', now(), now(), 'delayed',
           now() + interval '1 day' + n * interval '1 second'
    FROM generate_series(1, 30000) n
"""
