"""A service's tables, made in one go: what its migrations do step by step, as `test_migrations` proves."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import MetaData, create_mock_engine

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
        self.script = cache(self._written)
        self._image = cache(self._laid)

    def copy(self, path: Path) -> None:
        """Write a SQLite database that holds the tables."""
        path.write_bytes(self._image())

    def _laid(self) -> bytes:
        """Return a file that several connections may open at once: the first would have to change its mode alone."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "laid.db")
            with closing(sqlite3.connect(path)) as made:
                made.execute("PRAGMA journal_mode=WAL")
                made.executescript(self.script("sqlite"))
            return path.read_bytes()

    def _written(self, dialect: str) -> str:
        """Return the statements that make the tables in an empty database."""
        statements = list(self._version)
        mock = create_mock_engine(
            URLS[dialect], lambda made, *_: statements.append(str(made.compile(dialect=mock.dialect)))
        )
        for tables in self._tables:
            tables.create_all(mock, checkfirst=False)
        return ";\n".join(["BEGIN", *statements, "COMMIT"])
