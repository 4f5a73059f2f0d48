"""A service's tables, made in one go: what its migrations do step by step, as `test_migrations` proves."""

from functools import cache
from typing import Any

from sqlalchemy import MetaData, create_mock_engine
from sqlalchemy.ext.asyncio import AsyncEngine

URLS = {"sqlite": "sqlite://", "postgresql": "postgresql+asyncpg://"}


class Schema:
    """The tables of one service at one revision, and what tests put beside them."""

    def __init__(self, version_table: str, revision: str, *tables: MetaData) -> None:
        """Take the name of Alembic's own table, and the revision that is to stand in it."""
        self._tables = tables
        self._version = (
            f"CREATE TABLE {version_table} (version_num VARCHAR(32) PRIMARY KEY)",
            f"INSERT INTO {version_table} VALUES ('{revision}')",  # noqa: S608 - ours
        )
        self._script = cache(self._written)

    async def lay(self, engine: AsyncEngine) -> None:
        """Make the tables in an empty database, by one call of its driver."""
        script = self._script(engine.dialect.name)
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await (driver.executescript if engine.dialect.name == "sqlite" else driver.execute)(script)

    def _written(self, dialect: str) -> str:
        statements = list(self._version)
        mock = create_mock_engine(
            URLS[dialect], lambda made, *_: statements.append(str(made.compile(dialect=mock.dialect)))
        )
        for tables in self._tables:
            tables.create_all(mock, checkfirst=False)
        return ";\n".join(["BEGIN", *statements, "COMMIT"])
