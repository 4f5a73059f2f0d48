"""The consumer's schema, step by step, with a history of its own: `consumer_alembic_version`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

VERSION_TABLE = "consumer_alembic_version"

ONE_AT_A_TIME = 7_214_002
"""The key of PostgreSQL's advisory lock; any number that nobody else uses in this database."""


async def migrate(engine: AsyncEngine, *, to: str = "head") -> None:
    """Bring the database up to this revision, in one transaction. Repeating it, even twice at once, changes nothing."""
    async with engine.begin() as connection:
        await _take_turn(connection)
        await connection.run_sync(lambda within: command.upgrade(configuration(within), to))


async def unmigrate(engine: AsyncEngine, *, to: str = "base") -> None:
    """Take the database back to this revision, in one transaction, dropping what came after it."""
    async with engine.begin() as connection:
        await _take_turn(connection)
        await connection.run_sync(lambda within: command.downgrade(configuration(within), to))


async def _take_turn(connection: AsyncConnection) -> None:
    """Wait until no other migration runs, for a minute at most; for SQLite, as long as it waits for any lock."""
    if connection.dialect.name == "sqlite":
        # Its driver would begin a transaction at the first INSERT only, leaving CREATE TABLE outside of it.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))


async def is_at_head(engine: AsyncEngine) -> bool:
    """Whether the database stands at our newest revision, or at one newer than we know.

    Newer, because while a release is rolled out its migrations come first and the old code must go on working.
    """
    async with engine.connect() as connection:
        return await connection.run_sync(_is_at_head)


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, with the connection that the migrations are to use."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _is_at_head(connection: Connection) -> bool:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    script, found = ScriptDirectory.from_config(configuration()), set(context.get_current_heads())
    outdated = {entry.revision for entry in script.walk_revisions()} - set(script.get_heads())
    return bool(found) and outdated.isdisjoint(found)
