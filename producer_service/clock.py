"""What time it is, by the database's own clock: the one clock that every relay and every API process shares."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, Float, FunctionElement, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
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


class FromNow(FunctionElement[datetime]):
    """The moment `seconds` from now (before now, if negative); now is when the statement began."""

    name = "from_now"
    inherit_cache = True
    type = UtcDateTime()

    def __init__(self, seconds: ColumnElement[float] | float) -> None:
        """Take the seconds as a number, or as an expression that differs from row to row."""
        super().__init__(literal(seconds, Float) if isinstance(seconds, float) else seconds)


def now() -> FromNow:
    """Return the moment the statement began."""
    return FromNow(literal_column("0", Float))


@compiles(FromNow, "postgresql")
def _postgresql(element: FromNow, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kwargs)}))"


@compiles(FromNow, "sqlite")
def _sqlite(element: FromNow, compiler: SQLCompiler, **kwargs: Any) -> str:
    """Write the very text that SQLAlchemy stores for a datetime, because SQLite compares times as text."""
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {compiler.process(element.clauses, **kwargs)} || ' seconds')"
