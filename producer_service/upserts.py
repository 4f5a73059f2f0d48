"""INSERT ... ON CONFLICT, which PostgreSQL and SQLite spell alike and SQLAlchemy keeps apart."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.models import Base


def insert_into(session: AsyncSession, table: type[Base]) -> Any:
    """Return an INSERT for this session's database, which knows `on_conflict_do_nothing` and `..._do_update`."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table)
