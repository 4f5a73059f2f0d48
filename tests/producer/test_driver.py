"""A transaction whose statements go to the driver as they are."""

import asyncio

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, literal, select, update
from sqlalchemy.exc import DBAPIError

from producer_service.database import Deadlines, open_engine
from producer_service.driver import transaction

MARKS = Table("marks", MetaData(), Column("name", Text, primary_key=True), Column("size", Integer, nullable=False))
MARK = insert(MARKS).values(name=bindparam("the_name", type_=Text), size=literal(7))
GROW = update(MARKS).values(size=MARKS.c.size * 2 + bindparam("more")).where(MARKS.c.name == bindparam("which"))
LOOK = select(MARKS.c.name, MARKS.c.size).order_by(MARKS.c.name)


class Interrupted(Exception):
    """Something else went wrong."""


@pytest.fixture
async def engine(database_url):
    engine = open_engine(database_url, deadlines=Deadlines(lock=0.2))
    async with engine.begin() as connection:
        await connection.run_sync(MARKS.create)
    yield engine
    await engine.dispose()


@pytest.fixture
def marks(engine):
    """Return what anybody else sees."""

    async def marks():
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(LOOK)]

    return marks


async def test_what_is_said_in_a_transaction_is_committed_when_it_is_left(engine, marks):
    async with transaction(engine) as execute:
        await execute(MARK, {"the_name": "a"})
        await execute(MARK, {"the_name": "b"})
        await execute(GROW, {"which": "b", "more": 1})
        seen = [tuple(row) for row in await execute(LOOK, {})]

    assert seen == await marks() == [("a", 7), ("b", 15)]


async def test_an_error_leaves_no_trace_and_an_open_transaction_to_nobody(engine, marks):
    async def fail():
        async with transaction(engine) as execute:
            await execute(MARK, {"the_name": "a"})
            raise Interrupted

    for _ in range(20):
        with pytest.raises(Interrupted):
            await fail()

    assert await marks() == []
    assert engine.pool.checkedout() == 0


async def test_a_refusal_is_an_error_as_sqlalchemy_has_them_and_names_its_cause(engine, marks):
    async with transaction(engine) as execute:
        await execute(MARK, {"the_name": "a"})

    async def twice():
        async with transaction(engine) as execute:
            await execute(MARK, {"the_name": "a"})

    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        await twice()

    assert await marks() == [("a", 7)]


@pytest.mark.postgres
async def test_whoever_is_cancelled_gives_back_no_connection_in_the_middle_of_something(postgres_url):
    engine = open_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.run_sync(MARKS.create)

    async def linger():
        async with transaction(engine) as execute:
            await execute(MARK, {"the_name": "a"})
            await asyncio.sleep(30)

    async with engine.begin() as holder:
        await holder.execute(MARK, {"the_name": "a"})
        waiting = asyncio.create_task(linger())
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        waiting.cancel()
        await asyncio.wait([waiting])
        assert engine.pool.checkedout() == 1

    async with transaction(engine) as execute:
        assert [tuple(row) for row in await execute(LOOK, {})] == [("a", 7)]
    await engine.dispose()


@pytest.mark.postgres
async def test_a_database_that_turns_us_away_is_an_error_as_sqlalchemy_has_them(postgres_url):
    engine = open_engine(f"{postgres_url}_that_is_not_there")

    with pytest.raises(DBAPIError, match="does not exist"):
        async with transaction(engine):
            pass
