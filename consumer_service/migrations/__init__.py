"""The consumer's schema, step by step, with a history of its own: `consumer_alembic_version`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

VERSION_TABLE = "consumer_alembic_version"


async def migrate(engine: AsyncEngine, *, to: str = "head") -> None:
    """Bring the database to this revision, in one transaction where the database can. Repeating it changes nothing."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade, to)


async def is_at_head(engine: AsyncEngine) -> bool:
    """Whether the database has exactly the schema that this code was written for."""
    async with engine.connect() as connection:
        return await connection.run_sync(_is_at_head)


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, with the connection that the migrations are to use."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, to: str) -> None:
    command.upgrade(configuration(connection), to)


def _is_at_head(connection: Connection) -> bool:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return set(context.get_current_heads()) == set(ScriptDirectory.from_config(configuration()).get_heads())
