from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from support.databases import on_postgres
from support.operators import ADA

from producer_service.inspection import Inspection
from producer_service.models import Status
from producer_service.selection import Selection

HOUR = timedelta(hours=1)


@pytest.fixture
def inspection(engine):
    return Inspection(engine)


@pytest.fixture
def listed(inspection):
    async def listed(status=Status.PENDING, limit=10, **narrowed):
        return [entry.id for entry in await inspection.entries(Selection(status=status, **narrowed), limit)]

    return listed


async def test_rows_are_listed_by_status_the_oldest_first_and_no_more_than_asked_for(recorded, change, listed):
    first, second, third, parked = await recorded(*(uuid4() for _ in range(4)))
    await change(parked, status=Status.PARKED)

    assert await listed() == [first, second, third]
    assert await listed(limit=2) == [first, second]
    assert await listed(Status.PARKED) == [parked]


async def test_of_published_rows_the_latest_come_first(recorded, change, listed):
    early, late = await recorded(uuid4(), uuid4())
    await change(early, status=Status.PUBLISHED, published_at=datetime.now(UTC) - HOUR)
    await change(late, status=Status.PUBLISHED, published_at=datetime.now(UTC))

    assert await listed(Status.PUBLISHED) == [late, early]


async def test_rows_are_narrowed_by_type_reason_aggregate_and_time(recorded, change, listed):
    ann, bob = uuid4(), uuid4()
    anns, bobs = await recorded(ann, bob)
    await change(anns, bobs, status=Status.PARKED)
    await change(anns, parked_reason="unroutable", recorded_at=datetime.now(UTC) - HOUR)
    await change(bobs, parked_reason="forbidden", type="user.other")

    assert await listed(Status.PARKED, reason="unroutable") == [anns]
    assert await listed(Status.PARKED, type="user.other") == [bobs]
    assert await listed(Status.PARKED, aggregate=str(ann)) == [anns]
    assert await listed(Status.PARKED, since=datetime.now(UTC) - HOUR / 2) == [bobs]
    assert await listed(Status.PARKED, until=datetime.now(UTC) - HOUR / 2) == [anns]
    assert await listed(Status.PARKED, event_id=bobs) == [bobs]


async def test_one_row_is_shown_with_its_payload(recorded, inspection, rows):
    (event_id,) = await recorded()

    entry, payload = await inspection.entry(event_id)

    assert (entry.id, entry.status, entry.type) == (event_id, "pending", "user.created")
    assert payload == (await rows())[0].payload


async def test_a_row_that_was_never_recorded_is_not_shown(inspection):
    assert await inspection.entry("never") is None


async def test_rows_are_counted_by_type_and_from_when_to_when(recorded, change, inspection):
    *created, other = await recorded(*(uuid4() for _ in range(3)))
    past = datetime.now(UTC) - HOUR
    await change(*created, status=Status.PUBLISHED, published_at=datetime.now(UTC))
    await change(created[0], published_at=past)
    await change(other, status=Status.PUBLISHED, published_at=past, type="user.other")

    first, second = await inspection.tally(Selection(status=Status.PUBLISHED))

    assert [(first.type, first.rows), (second.type, second.rows)] == [("user.created", 2), ("user.other", 1)]
    assert first.last - first.first > HOUR / 2


async def test_what_operators_did_is_told_the_latest_first(recorded, inspection, interventions):
    await recorded()
    await interventions.release(Selection(status=Status.PARKED), ADA)
    await interventions.republish(Selection(status=Status.PUBLISHED), ADA)

    actions = await inspection.actions(10)

    assert [action.action for action in actions] == ["republish", "release"]
    assert {(action.by, action.why) for action in actions} == {(ADA.by, ADA.why)}
    assert len(await inspection.actions(1)) == 1


MANY = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at, status, published_at, parked_reason)
    SELECT 'e' || n, 'user', 'u' || n % 1000, 'user.created', repeat('x', 300)::bytea, 'domain.events', '/t', 'c',
           now(), now(), s, CASE WHEN s = 'published' THEN now() - n * interval '1 second' END, 'unroutable'
    FROM generate_series(1, 30000) n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN n % 1000 = 0 THEN 'parked' WHEN n % 3 = 0 THEN 'pending' ELSE 'published' END
    ) AS t (s)
"""


@on_postgres
@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (Selection(status=Status.PARKED), "outbox_parked"),
        (Selection(status=Status.PENDING), "outbox_pending"),
        (Selection(status=Status.PUBLISHED), "outbox_published"),
        (Selection(status=Status.PUBLISHED, since=datetime.now(UTC) - HOUR / 10), "outbox_published"),
        (Selection(status=Status.PENDING, event_id="e3"), "uq_outbox_id"),
    ],
)
async def test_a_large_outbox_is_listed_by_an_index(engine, explained, selection, index):
    async with engine.begin() as connection:
        await connection.execute(text(MANY))
        await connection.execute(text("ANALYZE outbox"))

    plan = await explained(lambda: Inspection(engine).entries(selection, 50))

    assert index in plan
    assert "Seq Scan" not in plan
