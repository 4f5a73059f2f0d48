import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_user_created, an_envelope
from support.databases import on_postgres

from producer_service.claims import Claims
from producer_service.database import DATABASE_ERRORS, Deadlines, open_engine
from producer_service.outbox import record
from producer_service.verdicts import Parked, Published

pytestmark = on_postgres

ANN, BOB = UUID(int=1), UUID(int=2)


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


def published(row):
    return Published(row.position)


def parked(row):
    return Parked(row.position, "unroutable", "unroutable: no queue")


async def test_two_claims_never_share_a_row(recorded, claims):
    ids = await recorded(*(uuid4() for _ in range(10)))

    async with claims.open(6) as first, claims.open(6) as second:
        assert [row.id for row in (*first.rows, *second.rows)] == ids


async def test_a_row_waits_for_an_earlier_one_of_its_aggregate_in_another_claim(recorded, claims, claimed):
    first, second, bobs = await recorded(ANN, ANN, BOB)

    async with claims.open(1) as one, claims.open(500) as other:
        held = [[row.id for row in claim.rows] for claim in (one, other)]

    assert held == [[first], [bobs]]
    assert await claimed() == [first, second, bobs]


async def test_a_gap_in_a_line_ends_it(recorded, claims, engine):
    first, second, third = await recorded(ANN, ANN, ANN)

    async with engine.begin() as other_claim:
        await other_claim.execute(text("SELECT 1 FROM outbox WHERE id = :id FOR UPDATE"), {"id": second})
        async with claims.open(500) as claim:
            assert [row.id for row in claim.rows] == [first]

    async with claims.open(500) as claim:
        assert [row.id for row in claim.rows] == [first, second, third]


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


async def test_a_row_committed_late_is_found_though_later_ones_were_published(recorded, claimed, engine):
    late = an_envelope(a_user_created(user_id=ANN))
    async with AsyncSession(engine) as slow:
        record(slow, late)
        await slow.flush()
        await recorded(BOB)
        await claimed(published)
        await slow.commit()

    assert await claimed() == [late.id]
