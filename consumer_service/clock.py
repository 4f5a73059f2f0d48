"""Moments in the database: aware ones in, aware ones out, and `now` by the database's own clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, func
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime. PostgreSQL keeps the zone; SQLite keeps text, which is written and read as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Refuse a naive datetime: it would mean another moment on another machine."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time in the database needs a zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Return UTC."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def ago(dialect: str, span: timedelta) -> ColumnElement[Any]:
    """Return the moment that lies `span` before now, by the clock of a database of this dialect."""
    seconds = int(span.total_seconds())
    if dialect == "sqlite":
        return func.strftime("%Y-%m-%d %H:%M:%f", "now", f"-{seconds} seconds")
    return func.current_timestamp() - span
