"""The server that tests share: whatever one leaves in its database, the next one finds it as it was laid."""

import asyncpg
import pytest

SCRIPT = "CREATE TABLE rows (id int GENERATED ALWAYS AS IDENTITY, word text); CREATE TABLE some_version (version text)"


async def said(url, *statements):
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO rows (word) VALUES ('one')",
        "INSERT INTO rows (word) SELECT repeat('x', 50) FROM generate_series(1, 20000)",
    ],
)
async def test_a_database_is_given_again_without_its_rows(postgres, insert):
    async with postgres.laid_database(SCRIPT) as first:
        await said(first, insert, "SELECT 1")

    async with postgres.laid_database(SCRIPT) as second:
        assert second == first
        assert await said(second, "SELECT count(*) FROM rows") == 0
        assert await said(second, "INSERT INTO rows (word) VALUES ('first') RETURNING id") == 1


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE rows ADD COLUMN more int",
        "CREATE TABLE another (id int)",
        "CREATE INDEX another ON rows (word)",
        "DROP TABLE rows",
        "REVOKE ALL ON rows FROM public; GRANT SELECT ON rows TO public",
        "INSERT INTO some_version VALUES ('2')",
        "ANALYZE rows",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 1000', current_database()); END $$",
    ],
)
async def test_a_database_that_is_no_longer_as_it_was_laid_is_not_given_again(postgres, change):
    async with postgres.laid_database(SCRIPT) as first:
        await said(first, "INSERT INTO rows (word) VALUES ('a'), ('b')", change, "SELECT 1")

    async with postgres.laid_database(SCRIPT) as second:
        assert second != first


async def test_a_test_that_ended_our_own_connection_gets_nobody_into_trouble(postgres):
    async with postgres.laid_database(SCRIPT) as first:
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        await said(first, f"{ended} AND datname = current_database()")

    async with postgres.laid_database(SCRIPT) as second:
        assert await said(second, "SELECT count(*) FROM rows") == 0
