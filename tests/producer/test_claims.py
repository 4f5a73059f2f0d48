from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from producer_service.claims import Claims
from producer_service.models import OutboxRow
from producer_service.verdicts import Parked, Postponed, Published
from shared.contracts import Lane

ANN, BOB = UUID(int=1), UUID(int=2)


def published(row):
    return Published(row.position)


def parked(row):
    return Parked(row.position, "unroutable", "unroutable: no queue")


def postponed(row):
    return Postponed(row.position, 60.0, "refused: full")


class Interrupted(Exception):
    """Anything at all went wrong."""


async def test_pending_rows_are_claimed_in_the_order_of_recording(recorded, claimed):
    ids = [*await recorded(*(uuid4() for _ in range(20))), *await recorded(ANN, BOB, ANN)]

    assert await claimed() == ids


async def test_a_claimed_row_brings_what_is_needed_to_publish_it(recorded, claims, rows):
    await recorded(ANN)
    (row,) = await rows()

    async with claims.open(1) as claim:
        (found,) = claim.rows

    assert all(getattr(found, name) == getattr(row, name) for name in found.__slots__)


async def test_a_claim_says_whether_there_may_be_more(recorded, claims, rows):
    await recorded(ANN, BOB)

    async with claims.open(2) as full, claims.open(3) as not_full:
        assert (full.full, not_full.full) == (True, False)
        assert full.last == (await rows())[1].position


async def test_a_claim_on_an_empty_outbox_is_empty(claims):
    async with claims.open(500) as claim:
        assert (claim.rows, claim.last, claim.full) == ([], 0, False)


async def test_a_claim_may_begin_further_on(recorded, claimed, rows):
    _, second = await recorded(ANN, BOB)

    assert await claimed(after=(await rows())[0].position) == [second]


async def test_a_row_further_on_waits_for_an_earlier_one_of_its_aggregate(recorded, claimed, rows):
    _, _, bobs = await recorded(ANN, ANN, BOB)

    assert await claimed(after=(await rows())[0].position) == [bobs]


async def test_a_published_row_is_marked_and_not_claimed_again(recorded, claimed, rows):
    await recorded(ANN)

    await claimed(published)

    assert await claimed() == []
    (row,) = await rows()
    assert (row.status, row.attempts, row.last_error) == ("published", 1, None)
    assert datetime.now(UTC) - row.published_at < timedelta(seconds=30)


async def test_a_parked_row_holds_back_its_own_aggregate_and_no_other(recorded, claimed, rows):
    await recorded(ANN)
    await claimed(parked)
    _, bobs = await recorded(ANN, BOB)

    assert await claimed() == [bobs]
    row = (await rows())[0]
    assert (row.status, row.parked_reason, row.last_error) == ("parked", "unroutable", "unroutable: no queue")


async def test_a_postponed_row_holds_back_its_own_aggregate_until_its_time_has_come(recorded, claimed, engine):
    (first,) = await recorded(ANN)
    await claimed(postponed)
    second, bobs = await recorded(ANN, BOB)
    before = await claimed()

    async with engine.begin() as connection:
        await connection.execute(
            update(OutboxRow).where(OutboxRow.id == first).values(available_at=datetime.now(UTC) - timedelta(seconds=1))
        )

    assert (before, await claimed()) == ([bobs], [first, second, bobs])


@pytest.mark.parametrize("holding_back", [parked, postponed])
async def test_rows_that_are_held_back_take_no_place_in_a_claim(recorded, claimed, holding_back):
    await recorded(ANN)
    await claimed(holding_back)
    *_, bobs = await recorded(*(ANN for _ in range(10)), BOB)

    assert await claimed(most=3) == [bobs]


async def test_a_postponed_row_tells_when_and_why(recorded, claimed, rows):
    await recorded(ANN)

    await claimed(postponed)

    (row,) = await rows()
    assert (row.status, row.attempts, row.last_error) == ("pending", 1, "refused: full")
    assert timedelta(seconds=50) < row.available_at - datetime.now(UTC) < timedelta(seconds=70)


async def test_attempts_are_counted_until_it_works(recorded, claimed, rows):
    await recorded(ANN)

    for _ in range(3):
        await claimed(lambda row: Postponed(row.position, -1.0, "refused: full"))
    await claimed(published)

    (row,) = await rows()
    assert (row.attempts, row.available_at, row.last_error) == (4, None, None)


async def test_one_claim_can_hold_every_kind_of_verdict(recorded, claims, rows):
    await recorded(*(uuid4() for _ in range(6)))

    async with claims.open(500) as claim:
        kinds = (published, parked, postponed)
        await claim.mark([kinds[index % 3](row) for index, row in enumerate(claim.rows)])

    assert [row.status for row in await rows()] == ["published", "parked", "pending"] * 2


async def test_an_error_in_a_claim_forgets_its_marks(recorded, claims, claimed):
    ids = await recorded(ANN)

    async def fail_after_marking():
        async with claims.open(500) as claim:
            await claim.mark([published(row) for row in claim.rows])
            raise Interrupted

    with pytest.raises(Interrupted):
        await fail_after_marking()

    assert await claimed() == ids


async def test_a_claim_goes_by_the_indexes_however_long_the_backlog(engine, claims):
    search = claims._search.compile(engine.sync_engine)
    values = search.construct_params({"after": 0, "most": 500})
    explain = EXPLAIN[engine.dialect.name] + str(search)
    async with engine.begin() as connection:
        await connection.execute(text(BACKLOG))

    async with claims._engine.connect() as claiming:
        found = await claiming.exec_driver_sql(explain, tuple(values[name] for name in search.positiontup))
        plan = "\n".join(str(line) for line in found)

    assert all(index in plan for index in ("outbox_pending", "outbox_held", "outbox_unpublished"))
    assert not any(slow in plan for slow in ("Sort", "Seq Scan", "SCAN outbox", "TEMP B-TREE FOR ORDER"))


async def test_a_claim_takes_what_stands_in_its_lane_whatever_waits_in_another(recorded, claims, change, engine):
    *bulk, _ = everything = await recorded(*(ANN for _ in range(5)))
    await change(*bulk, lane=Lane.BULK)

    async with claims.open(3) as normal, Claims(engine, Lane.BULK).open(3) as other:
        assert [row.id for row in normal.rows] == everything[4:]
        assert [row.id for row in other.rows] == bulk[:3]


@pytest.mark.parametrize("holding_back", [parked, postponed])
async def test_what_is_held_back_in_a_lane_holds_back_its_aggregate_there_and_not_in_another(
    recorded, claimed, change, engine, holding_back
):
    held, behind, normal = await recorded(ANN, ANN, ANN)
    await claimed(holding_back, most=1)
    await change(held, behind, lane=Lane.BULK)

    async with Claims(engine, Lane.BULK).open(3) as bulk:
        assert bulk.rows == []
    assert await claimed() == [normal]


EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}

BACKLOG = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
    SELECT n, 'user', n, 'user.created', '', 'domain.events', '/t', 'c', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP
    FROM numbers
"""
