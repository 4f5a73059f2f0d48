import asyncio
import socket

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from support.waiting import eventually

from producer_service.database import DATABASE_ERRORS, Deadlines, open_engine


@pytest.fixture
async def opened(postgres_url):
    """Open an engine with some deadlines changed; it is disposed after the test."""
    engines = []

    def opened(**deadlines):
        engines.append(open_engine(postgres_url, deadlines=Deadlines(**deadlines)))
        return engines[-1]

    yield opened
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_a_database_it_cannot_use_is_refused_with_what_it_can(url):
    with pytest.raises(ValueError, match="postgresql:// or sqlite:///"):
        open_engine(url)


@pytest.mark.slow
async def test_a_statement_that_takes_too_long_is_ended_by_the_server(opened):
    async with opened(statement=0.2).connect() as connection:
        with pytest.raises(DBAPIError, match="statement timeout"):
            await connection.execute(text("SELECT pg_sleep(30)"))


async def test_a_lock_that_does_not_come_is_not_waited_for(opened):
    engine = opened(lock=0.2)
    async with engine.connect() as holder, engine.connect() as waiter:
        await holder.execute(text("SELECT pg_advisory_lock(1)"))

        with pytest.raises(DBAPIError, match="lock timeout"):
            await waiter.execute(text("SELECT pg_advisory_lock(1)"))


@pytest.mark.slow
async def test_a_transaction_that_idles_loses_its_session(opened):
    async with opened(idle_in_transaction=0.2).connect() as connection:
        await connection.execute(text("SELECT 1"))
        await asyncio.sleep(0.5)

        with pytest.raises(DATABASE_ERRORS):
            await connection.execute(text("SELECT 1"))


@pytest.fixture
async def brief(new_postgres):
    """An engine whose transactions may take half a second, on a server that can end them."""
    async with new_postgres.new_database() as url:
        engine = open_engine(url, deadlines=Deadlines(transaction=0.5))
        yield engine
        await engine.dispose()


async def test_every_connection_to_a_new_server_has_it_end_transactions_that_take_too_long(brief):
    async with brief.connect() as first, brief.connect() as second:
        told = [(await each.execute(text("SHOW transaction_timeout"))).scalar_one() for each in (first, second)]
    assert told == ["500ms", "500ms"]

    async def take_long():
        async with brief.connect() as connection:
            for _ in range(100):  # Each is done in no time, and the transaction never idles.
                await connection.execute(text("SELECT pg_sleep(0.05)"))

    with pytest.raises(DATABASE_ERRORS):
        await take_long()


async def test_a_client_that_freezes_between_two_messages_of_a_statement_loses_its_session_on_a_new_server(brief):
    async with brief.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        transaction = driver.transaction()
        await transaction.start()
        # Prepared and not run: to the server it is active, neither idle nor in a statement.
        await driver.prepare("SELECT 1")

        await eventually(driver.is_closed)


async def test_a_server_that_does_not_know_a_setting_is_a_database_at_fault_and_the_setting_is_named(postgres_url):
    engine = open_engine(postgres_url, session={"no_such_setting": "1"})

    with pytest.raises(DATABASE_ERRORS, match="no_such_setting"):
        await engine.connect().start()


@pytest.mark.slow
async def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        engine = open_engine(f"postgresql://u@127.0.0.1:{port}/d", deadlines=Deadlines(connect=0.3))

        with pytest.raises(DATABASE_ERRORS):
            await engine.connect().start()


async def test_an_exhausted_pool_is_not_waited_for_without_end(opened):
    engine = opened(pool=0.2)
    held = [await engine.connect().start() for _ in range(15)]

    with pytest.raises(PoolTimeout):
        await engine.connect().start()

    for connection in held:
        await connection.close()


async def test_a_connection_that_the_server_ended_is_replaced(opened):
    engine = opened()
    async with engine.connect() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        ended = (await connection.get_raw_connection()).driver_connection

    killer = opened()
    async with killer.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await eventually(ended.is_closed)

    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one() != pid


async def test_sqlite_lets_readers_and_a_writer_work_side_by_side(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")

    async with engine.connect() as connection:
        settings = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        ]
    await engine.dispose()

    assert settings == ["wal", 5000, 1]


async def test_errors_do_not_show_the_values_of_a_statement(engine):
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT :word FROM nowhere"), {"word": "canary"})

    assert "canary" not in str(caught.value)
