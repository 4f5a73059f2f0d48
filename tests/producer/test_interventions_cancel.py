"""What an operator may cancel, and who wins when a relay wants the same message."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from support.databases import on_postgres, on_sqlite
from support.operators import ADA

from producer_service.interventions import Cancellation
from producer_service.models import OutboxAction, Status
from producer_service.timer import Timer
from producer_service.verdicts import Published

ANN = UUID(int=1)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def on_record(engine):
    async def on_record():
        async with engine.connect() as connection:
            actions = await connection.execute(select(OutboxAction.action, OutboxAction.selection, OutboxAction.rows))
            return [(action, json.loads(selection), rows) for action, selection, rows in actions]

    return on_record


@pytest.mark.parametrize("status", [Status.DELAYED, Status.PARKED])
async def test_what_is_held_is_cancelled_and_on_record(recorded, interventions, change, rows, on_record, status):
    (event_id,) = await recorded()
    await change(event_id, status=status, deliver_at=TOMORROW)

    assert await interventions.cancel(event_id, ADA) is Cancellation.CANCELLED
    assert await interventions.cancel(event_id, ADA) is Cancellation.CANCELLED

    (row,) = await rows()
    assert (row.status, row.deliver_at) == ("cancelled", TOMORROW)
    assert datetime.now(UTC) - row.cancelled_at < timedelta(minutes=1)
    assert await on_record() == [("cancel", {"event_id": event_id}, 1)]


async def test_what_waited_behind_a_cancelled_message_goes_on_without_it(recorded, interventions, change, claimed):
    parked, behind = await recorded(ANN, ANN)
    await change(parked, status=Status.PARKED)

    await interventions.cancel(parked, ADA)

    assert await claimed() == [behind]


async def test_a_cancelled_message_never_falls_due(recorded, interventions, change, engine, claimed):
    (event_id,) = await recorded()
    await change(event_id, status=Status.DELAYED, deliver_at=datetime.now(UTC) - timedelta(seconds=1))
    await interventions.cancel(event_id, ADA)

    assert await Timer(engine, wake=list).fall_due() == 0
    assert await claimed() == []


async def test_what_is_published_or_was_never_recorded_cannot_be_cancelled(recorded, interventions, change, on_record):
    (event_id,) = await recorded()
    await change(event_id, status=Status.PUBLISHED, published_at=datetime.now(UTC))

    assert await interventions.cancel(event_id, ADA) is Cancellation.PUBLISHED
    assert await interventions.cancel("never", ADA) is Cancellation.UNKNOWN
    assert await on_record() == []


@on_postgres
async def test_a_pending_message_is_cancelled_unless_a_relay_has_claimed_it(recorded, interventions, claims, statuses):
    first, second = await recorded(ANN, UUID(int=2))

    async with claims.open(1) as claim:
        on_its_way = await interventions.cancel(first, ADA)
        waiting = await interventions.cancel(second, ADA)
        await claim.mark([Published(row.position) for row in claim.rows])

    assert (on_its_way, waiting) == (Cancellation.ON_ITS_WAY, Cancellation.CANCELLED)
    assert await interventions.cancel(first, ADA) is Cancellation.PUBLISHED
    assert await statuses() == ["published", "cancelled"]


@on_sqlite
async def test_where_nobody_can_tell_whether_a_relay_has_a_pending_message_it_stays(recorded, interventions, statuses):
    (event_id,) = await recorded()

    assert await interventions.cancel(event_id, ADA) is Cancellation.ON_ITS_WAY
    assert await statuses() == ["pending"]


@on_postgres
async def test_of_a_relay_and_a_cancellation_exactly_one_gets_a_message(recorded, interventions, claims, rows):
    ids = await recorded(*(UUID(int=number) for number in range(30)))

    async def relay():
        published = []
        for _ in range(10):
            async with claims.open(3) as claim:
                await asyncio.sleep(0)
                await claim.mark([Published(row.position) for row in claim.rows])
                published += [row.id for row in claim.rows]
        return published

    async def cancel():
        return [each for each in reversed(ids) if await interventions.cancel(each, ADA) is Cancellation.CANCELLED]

    published, cancelled = await asyncio.gather(relay(), cancel())

    assert published
    assert cancelled
    assert set(published).isdisjoint(cancelled)
    by_status = {status: {row.id for row in await rows() if row.status == status} for status in Status}
    assert (by_status[Status.PUBLISHED], by_status[Status.CANCELLED]) == (set(published), set(cancelled))
