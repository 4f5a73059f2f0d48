import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_user_created, an_envelope
from support.databases import on_postgres

from producer_service.claims import IN_INDEX_ORDER, Claims
from producer_service.database import DATABASE_ERRORS, Deadlines, open_engine
from producer_service.models import OutboxRow
from producer_service.outbox import record
from producer_service.verdicts import Parked, Postponed, Published

ANN, BOB = UUID(int=1), UUID(int=2)


class Interrupted(Exception):
    """Anything at all went wrong."""


@pytest.fixture
async def another_engine(database_url):
    """Open further engines on the test's database; they are disposed after it."""
    engines = []

    def another_engine(**changes):
        engines.append(open_engine(database_url, **changes))
        return engines[-1]

    yield another_engine
    for engine in engines:
        await engine.dispose()


@pytest.fixture
def claimed(claims):
    """Open a claim, mark it by a function of a row, and return the ids it held."""

    async def claimed(verdict=None, *, most=500, after=0):
        async with claims.open(most, after=after) as claim:
            await claim.mark([verdict(row) for row in claim.rows] if verdict else [])
            return [row.id for row in claim.rows]

    return claimed


def published(row):
    return Published(row.position)


def parked(row):
    return Parked(row.position, "unroutable", "unroutable: no queue")


def postponed(row):
    return Postponed(row.position, 60.0, "refused: full")


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


@on_postgres
async def test_two_claims_never_share_a_row(recorded, claims):
    ids = await recorded(*(uuid4() for _ in range(10)))

    async with claims.open(6) as first, claims.open(6) as second:
        assert [row.id for row in (*first.rows, *second.rows)] == ids


@on_postgres
async def test_a_row_waits_for_an_earlier_one_of_its_aggregate_in_another_claim(recorded, claims, claimed):
    first, second, bobs = await recorded(ANN, ANN, BOB)

    async with claims.open(1) as one, claims.open(500) as other:
        held = [[row.id for row in claim.rows] for claim in (one, other)]

    assert held == [[first], [bobs]]
    assert await claimed() == [first, second, bobs]


@on_postgres
async def test_a_gap_in_a_line_ends_it(recorded, claims, engine):
    first, second, third = await recorded(ANN, ANN, ANN)

    async with engine.begin() as other_claim:
        await other_claim.execute(text("SELECT 1 FROM outbox WHERE id = :id FOR UPDATE"), {"id": second})
        async with claims.open(500) as claim:
            assert [row.id for row in claim.rows] == [first]

    async with claims.open(500) as claim:
        assert [row.id for row in claim.rows] == [first, second, third]


@on_postgres
async def test_rows_of_a_relay_that_died_are_free_at_once(recorded, another_engine, claimed, engine):
    ids = await recorded(ANN)
    doomed = another_engine(name="doomed")

    async def die_in_a_claim():
        async with Claims(doomed).open(500) as claim:
            async with engine.connect() as killer:
                await killer.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'")
                )
            await claim.mark([published(row) for row in claim.rows])

    with pytest.raises(DATABASE_ERRORS):
        await die_in_a_claim()

    assert await claimed() == ids


@on_postgres
async def test_a_relay_that_froze_too_long_can_mark_nothing(recorded, another_engine, claimed, rows):
    await recorded(ANN)
    freezing = another_engine(deadlines=Deadlines(idle_in_transaction=0.2))

    async def freeze_in_a_claim():
        async with Claims(freezing).open(500) as claim:
            await asyncio.sleep(0.5)
            await claimed(parked)
            await claim.mark([published(row) for row in claim.rows])

    with pytest.raises(DATABASE_ERRORS):
        await freeze_in_a_claim()

    assert [(row.status, row.attempts) for row in await rows()] == [("parked", 1)]


@on_postgres
async def test_a_row_committed_late_is_found_though_later_ones_were_published(recorded, claimed, engine):
    late = an_envelope(a_user_created(user_id=ANN))
    async with AsyncSession(engine) as slow:
        record(slow, late)
        await slow.flush()
        await recorded(BOB)
        await claimed(published)
        await slow.commit()

    assert await claimed() == [late.id]


@on_postgres
async def test_a_claim_never_sorts_the_backlog_even_without_statistics(engine, claims):
    search = claims._search.params(after=0, most=500).compile(
        engine.sync_engine, compile_kwargs={"literal_binds": True}
    )
    async with engine.begin() as connection:
        await connection.execute(text(FILL))
        await connection.execute(IN_INDEX_ORDER)
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {search}"))).scalars())

    assert "Index Scan using outbox_pending" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


FILL = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at)
    SELECT n, 'user', n, 'user.created', 'x', 'domain.events', '/t', 'c', now(), now() FROM generate_series(1, 20000) n
"""
