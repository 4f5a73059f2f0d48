import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from consumer_service.database import open_engine
from consumer_service.migrations import VERSION_TABLE, is_at_head, migrate, unmigrate
from consumer_service.models import Base

TABLES = {"inbox", "workers", "dead_letters", "dead_letter_deaths", "dead_letter_actions"}


@pytest.fixture
async def empty(database_url):
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def another(database_url):
    """Another engine, as another process would have, for the same database."""
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


async def tables(engine):
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda within: inspect(within).get_table_names()))


async def differences(engine):
    def compare(connection):
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


async def test_migrations_make_exactly_what_the_models_describe(empty):
    await migrate(empty)

    assert await differences(empty) == []
    assert await tables(empty) == TABLES | {VERSION_TABLE}


async def test_migrating_again_changes_nothing(empty):
    await migrate(empty)
    async with empty.begin() as connection:
        await connection.execute(text("INSERT INTO workers (id, queues) VALUES ('this', 'consumer.mail')"))

    await migrate(empty)

    async with empty.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM workers")) == 1


async def test_migrating_down_leaves_nothing_but_the_history_and_up_again_everything(empty):
    await migrate(empty)

    await unmigrate(empty)
    assert await tables(empty) == {VERSION_TABLE}
    assert not await is_at_head(empty)
    await migrate(empty)

    assert await differences(empty) == []


async def test_knows_whether_a_database_is_at_head(empty):
    before = await is_at_head(empty)
    await migrate(empty)

    assert (before, await is_at_head(empty)) == (False, True)


async def test_a_database_that_a_newer_release_has_migrated_is_not_behind(empty):
    await migrate(empty)
    async with empty.begin() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'newer'"))  # noqa: S608 - ours

    assert await is_at_head(empty)


async def test_two_migrations_at_once_wait_for_each_other(empty, another):
    assert (await is_at_head(empty), await is_at_head(another)) == (False, False)

    await asyncio.gather(migrate(empty), migrate(another))

    assert await is_at_head(empty)


async def test_a_migration_that_fails_leaves_no_half_of_it(empty):
    async with empty.begin() as connection:
        await connection.execute(text("CREATE TABLE workers (id integer)"))

    with pytest.raises(SQLAlchemyError):
        await migrate(empty)

    assert await tables(empty) == {"workers"}


async def test_the_tables_of_the_other_service_are_left_alone(empty):
    async with empty.begin() as connection:
        await connection.execute(text("CREATE TABLE outbox (id integer)"))

    await migrate(empty)
    await unmigrate(empty)

    assert "outbox" in await tables(empty)
