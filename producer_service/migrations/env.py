"""Run by Alembic for each command; the connection comes from `producer_service.migrations`."""

from typing import Literal, cast

from alembic import context
from sqlalchemy import Connection

from producer_service import account_models, ingestion_tables, models, schedule_tables
from producer_service.clock import UtcDateTime
from producer_service.migrations import VERSION_TABLE

TABLES = (models, account_models, ingestion_tables, schedule_tables)
"""Every module that has tables: Alembic compares those that were imported."""


def _render(kind: str, thing: object, _context: object) -> str | Literal[False]:
    """Write our own column type as what it is to the database, so that a revision file imports none of our code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, UtcDateTime) else False


def run(connection: Connection) -> None:
    """Run the command's migrations in the connection's transaction."""
    context.configure(
        connection=connection,
        target_metadata=models.Base.metadata,
        version_table=VERSION_TABLE,
        render_as_batch=True,
        render_item=_render,
        transactional_ddl=True,
    )
    context.run_migrations()


run(cast("Connection", context.config.attributes["connection"]))
