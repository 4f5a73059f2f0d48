import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from support.waiting import eventually

from consumer_service.database import DATABASE_ERRORS, insist, longest_transaction, open_engine


async def scalar(engine, statement):
    async with engine.connect() as connection:
        return await connection.scalar(text(statement))


async def test_answers_on_both_databases(database_url):
    engine = open_engine(database_url)

    assert await scalar(engine, "SELECT 1") == 1

    await engine.dispose()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("statement_timeout", "30s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("application_name", "tidings consumer"),
    ],
)
async def test_postgresql_keeps_our_deadlines_even_for_a_client_that_froze(postgres_url, setting, expected):
    engine = open_engine(postgres_url)

    assert await scalar(engine, f"SHOW {setting}") == expected

    await engine.dispose()


async def test_every_connection_to_a_server_that_can_has_transactions_ended_that_take_too_long(new_postgres):
    async with new_postgres.new_database() as url:
        engine = open_engine(url, transaction_seconds=longest_transaction(timedelta(minutes=10)))
        async with engine.connect() as first, engine.connect() as second:
            told = [await each.scalar(text("SHOW transaction_timeout")) for each in (first, second)]
        await engine.dispose()

    assert told == ["11min"] * 2


def test_a_transaction_may_take_longer_than_any_task_in_it():
    assert longest_transaction(timedelta(seconds=1)) == 120
    assert longest_transaction(timedelta(seconds=90)) == 150


async def test_a_url_may_say_how_to_use_tls_as_libpq_would(postgres_url):
    engine = open_engine(f"{postgres_url}?sslmode=disable")

    assert await scalar(engine, "SELECT 1") == 1

    await engine.dispose()


async def test_sqlite_lets_a_second_writer_wait_and_readers_read(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/tidings.db")

    assert [await scalar(engine, f"PRAGMA {name}") for name in ("journal_mode", "busy_timeout", "foreign_keys")] == [
        "wal",
        5000,
        1,
    ]

    await engine.dispose()


async def test_an_error_never_shows_what_was_to_be_written(engine):
    statement = text("INSERT INTO workers (id, queues) VALUES (:id, :queues)")
    values = {"id": "this", "queues": "ann@example.org"}

    async with engine.connect() as connection:
        await connection.execute(statement, values)
        with pytest.raises(IntegrityError) as error:
            await connection.execute(statement, values)

    assert "ann@" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody@127.0.0.1:1/nothing", "sqlite:////nowhere/at/all.db", "postgresql://nobody@nowhere.invalid/"],
)
async def test_whatever_a_database_that_is_away_raises_is_known(url):
    engine = open_engine(url)

    with pytest.raises(DATABASE_ERRORS):
        await scalar(engine, "SELECT 1")

    await engine.dispose()


async def test_a_database_that_refuses_us_raises_what_is_known(postgres_url):
    engine = open_engine(postgres_url.rsplit("/", 1)[0] + "/not_there")

    with pytest.raises(DATABASE_ERRORS):
        await scalar(engine, "SELECT 1")

    await engine.dispose()


async def test_a_connection_that_was_cut_is_replaced_without_an_error(postgres_url):
    engine, other = open_engine(postgres_url, pool_size=1), open_engine(postgres_url)
    victim = await scalar(engine, "SELECT pg_backend_pid()")
    async with engine.connect() as connection:
        ended = (await connection.get_raw_connection()).driver_connection

    await scalar(other, f"SELECT pg_terminate_backend({victim})")
    await eventually(ended.is_closed)

    assert await scalar(engine, "SELECT pg_backend_pid()") != victim
    await engine.dispose()
    await other.dispose()


async def test_no_wait_for_a_connection_is_longer_than_its_deadline(postgres_url):
    engine = open_engine(postgres_url, pool_size=1)
    engine.pool._timeout = 0.05

    async with engine.connect(), engine.connect():
        with pytest.raises(PoolTimeout):
            await scalar(engine, "SELECT 1")

    await engine.dispose()


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT", None, Exception("away")),
        DBAPIError("SELECT", None, Exception("starting up")),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
async def test_insists_until_the_database_answers(error):
    answers = [error, error, None]

    async def ask():
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "an answer"

    assert await insist(ask, queue="consumer.mail", pause_seconds=0.001) == "an answer"


async def test_does_not_insist_on_a_bug():
    async def ask():
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await insist(ask, queue="consumer.mail", pause_seconds=0.001)


async def test_insisting_can_be_cancelled():
    asked = 0

    async def ask():
        nonlocal asked
        asked += 1
        raise TimeoutError

    insisting = asyncio.create_task(insist(ask, queue="consumer.mail", pause_seconds=1000))
    await eventually(lambda: asked)
    insisting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await insisting
