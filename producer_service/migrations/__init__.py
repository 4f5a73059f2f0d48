"""The history of the producer's tables, and the means to bring a database up to it. No alembic.ini is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

VERSION_TABLE = "producer_alembic_version"
"""A name of our own, so that both services may share one database."""

ONE_AT_A_TIME = 7_214_001
"""The key of PostgreSQL's advisory lock; any number that nobody else uses in this database."""


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the database to a revision, all in one transaction. Waits its turn behind another migration."""
    await _run(engine, lambda config: command.upgrade(config, revision))


async def unmigrate(engine: AsyncEngine, revision: str = "base") -> None:
    """Take the database back to a revision, dropping what came after it."""
    await _run(engine, lambda config: command.downgrade(config, revision))


async def revise(engine: AsyncEngine, message: str) -> None:
    """Write a new revision file from the difference between the models and a database that is at head."""
    await _run(engine, lambda config: command.revision(config, message, autogenerate=True))


def newest() -> str:
    """Return the newest revision this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


class History:
    """The revisions this code knows, read once."""

    def __init__(self) -> None:
        """Read the revision files."""
        script = ScriptDirectory.from_config(_config())
        self._outdated = {entry.revision for entry in script.walk_revisions()} - set(script.get_heads())

    async def is_reached_by(self, engine: AsyncEngine) -> bool:
        """Tell whether the database stands at our newest revision, or at one newer than we know.

        Newer, because while a release is rolled out its migrations come first and the old code must go on serving.
        """
        async with engine.connect() as connection:
            revisions = await connection.run_sync(_revisions)
        return bool(revisions) and self._outdated.isdisjoint(revisions)


def _revisions(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()


async def _run(engine: AsyncEngine, alembic: Callable[[Config], Any]) -> None:
    def within(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        alembic(config)

    async with engine.begin() as connection:
        await _take_turn(connection)
        await connection.run_sync(within)


async def _take_turn(connection: AsyncConnection) -> None:
    """Wait until no other migration runs, for a minute at most; Alembic itself cannot share a process either."""
    if connection.dialect.name == "sqlite":
        # Its driver would begin a transaction at the first INSERT only, leaving CREATE TABLE outside of it.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    return config
