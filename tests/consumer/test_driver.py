"""Statements that stand for themselves."""

import asyncio

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, literal, select
from sqlalchemy.exc import DBAPIError

from consumer_service.database import DATABASE_ERRORS, open_engine
from consumer_service.driver import one_statement, within

MARKS = Table("marks", MetaData(), Column("name", Text, primary_key=True), Column("size", Integer, nullable=False))
MARK = insert(MARKS).values(name=bindparam("the_name", type_=Text), size=literal(7)).returning(MARKS.c.name)


class Interrupted(Exception):
    """Something else went wrong."""


@pytest.fixture
async def engine(database_url):
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(MARKS.create)
    yield engine
    await engine.dispose()


@pytest.fixture
def names(engine):
    """Return what anybody else sees."""

    async def names():
        async with engine.connect() as connection:
            return list((await connection.execute(select(MARKS.c.name))).scalars())

    return names


async def test_one_statement_is_committed_and_says_what_it_brought(engine, names):
    async with one_statement(engine) as database:
        brought = [tuple(row) for row in await database.execute(MARK, {"the_name": "a"})]

    assert brought == [("a",)]
    assert await names() == ["a"]
    assert engine.pool.checkedout() == 0


async def test_as_many_at_once_as_the_pool_lends_and_those_beyond_its_size_are_closed(postgres_engine):
    ready = asyncio.Barrier(20)

    async def one():
        async with one_statement(postgres_engine) as database:
            await ready.wait()
            return [tuple(row) for row in await database.execute(select(literal(7)), {})]

    assert await asyncio.gather(*(one() for _ in range(20))) == [[(7,)]] * 20
    assert (postgres_engine.pool.checkedout(), postgres_engine.pool.checkedin()) == (0, 10)


async def test_within_a_transaction_it_is_undone_with_it(engine, names):
    async def fail():
        async with engine.begin() as connection:
            await within(connection).execute(MARK, {"the_name": "a"})
            raise Interrupted

    with pytest.raises(Interrupted):
        await fail()

    assert await names() == []


async def test_a_refusal_is_an_error_as_sqlalchemy_has_them_and_costs_no_connection(engine, names):
    async def mark():
        async with one_statement(engine) as database:
            await database.execute(MARK, {"the_name": "a"})

    await mark()
    for _ in range(30):
        with pytest.raises(DBAPIError, match=r"(?i)unique"):
            await mark()

    assert await names() == ["a"]
    assert engine.pool.checkedout() == 0


async def test_a_database_that_is_away_is_one_of_the_errors_that_are_waited_out(no_database):
    with pytest.raises(DATABASE_ERRORS):
        async with one_statement(no_database):
            pass


async def test_a_database_that_turns_us_away_is_one_of_them_too(postgres_url):
    engine = open_engine(f"{postgres_url}_that_is_not_there")

    with pytest.raises(DBAPIError, match="does not exist"):
        async with one_statement(engine):
            pass
