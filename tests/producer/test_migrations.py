import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from producer_service.database import open_engine
from producer_service.migrations import VERSION_TABLE, History, migrate, unmigrate
from producer_service.models import Base


@pytest.fixture
async def empty(database_url):
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def migrated(empty):
    await migrate(empty)
    return empty


async def test_the_models_are_what_the_migrations_make(migrated):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return compare_metadata(context, Base.metadata)

    async with migrated.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_partial_indexes_are_what_the_models_say(migrated):
    before = await partial_indexes(migrated)
    await recreate_from_models(migrated)

    assert await partial_indexes(migrated) == before


async def test_going_back_leaves_nothing_behind(migrated):
    await unmigrate(migrated)

    async with migrated.connect() as connection:
        left = await connection.run_sync(lambda connection: inspect(connection).get_table_names())
    assert set(left) <= {VERSION_TABLE}


async def test_going_back_and_forth_ends_where_it_was(migrated):
    await unmigrate(migrated)
    await migrate(migrated)

    assert await History().is_reached_by(migrated)


async def test_an_empty_database_is_behind(empty):
    assert not await History().is_reached_by(empty)


async def test_a_database_that_a_newer_release_has_migrated_is_not_behind(migrated):
    async with migrated.begin() as connection:
        await connection.execute(text("UPDATE producer_alembic_version SET version_num = 'newer'"))

    assert await History().is_reached_by(migrated)


async def test_migrating_twice_at_once_is_harmless(empty):
    await asyncio.gather(migrate(empty), migrate(empty))

    assert await History().is_reached_by(empty)


async def test_a_migration_that_fails_changes_nothing(empty):
    async with empty.begin() as connection:
        await connection.execute(text("CREATE TABLE outbox (in_the_way INTEGER)"))

    with pytest.raises(Exception, match="already exists"):
        await migrate(empty)

    async with empty.connect() as connection:
        assert await connection.run_sync(lambda connection: inspect(connection).get_table_names()) == ["outbox"]


async def partial_indexes(engine):
    on_sqlite = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'outbox' AND sql IS NOT NULL"
    on_postgres = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'outbox'"
    async with engine.connect() as connection:
        found = await connection.execute(text(on_sqlite if engine.dialect.name == "sqlite" else on_postgres))
        return dict(sorted(found.all()))


async def recreate_from_models(engine):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
