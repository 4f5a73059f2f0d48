"""INSERT ... ON CONFLICT, which PostgreSQL and SQLite spell alike and SQLAlchemy keeps apart."""

from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.models import Base


def insert_into(dialect: str, model: type[Base]) -> Any:
    """Return an INSERT for a database of this dialect, which knows `on_conflict_do_nothing` and `..._do_update`.

    It goes to the table itself, past the object-relational mapper. Build what is asked often once: that takes longer
    than running it.
    """
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(cast("Table", model.__table__))


def dialect_of(session: AsyncSession) -> str:
    """Return the name of the dialect that a session's database speaks."""
    return session.get_bind().dialect.name
