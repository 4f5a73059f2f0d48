"""How the producer reaches its database: PostgreSQL by asyncpg, SQLite by aiosqlite, and never without a deadline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

DATABASE_ERRORS = (SQLAlchemyError, OSError)
"""What a statement may raise when the database is at fault. A TimeoutError is an OSError."""

SQLITE_BUSY_SECONDS = 5

KEEPS_TRANSACTIONS_SHORT = (17,)
"""PostgreSQL's version since it knows `transaction_timeout`."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the database may take, in seconds. The server keeps all but two, even for a client that froze.

    `transaction` is kept from PostgreSQL 17 on, and 0 is without end. It is the only one that also ends a client which
    froze between two messages of one statement.
    """

    connect: float = 5
    pool: float = 5
    statement: float = 10
    lock: float = 5
    idle_in_transaction: float = 30
    transaction: float = 90

    def for_the_server(self) -> dict[str, str]:
        """Return them as PostgreSQL's settings, in milliseconds."""
        return {
            "statement_timeout": str(int(self.statement * 1000)),
            "lock_timeout": str(int(self.lock * 1000)),
            "idle_in_transaction_session_timeout": str(int(self.idle_in_transaction * 1000)),
        }

    def for_a_new_server(self) -> dict[str, str]:
        """Return what older servers do not know, and refuse to be connected to with."""
        return {"transaction_timeout": str(int(self.transaction * 1000))}


PATIENT = Deadlines(statement=3600, idle_in_transaction=3600, transaction=0)
"""For migrations: a table may take long to rewrite. Locks must still come soon, or everyone queues behind us."""


def open_engine(
    url: str,
    *,
    deadlines: Deadlines | None = None,
    name: str = "tidings producer",
    session: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """Return an engine for `postgresql://` or `sqlite:///file`. Opens no connection yet.

    A PostgreSQL URL goes to asyncpg as it is, so everything that libpq URLs can say about TLS and hosts works.
    `session` are PostgreSQL's settings for each of its connections; SQLite has none. Raises ValueError for anything
    else, and for a SQLite database in memory, which every connection would have to itself.
    """
    scheme = url.partition("://")[0]
    if scheme == "postgresql":
        return _postgresql(url, deadlines or Deadlines(), {"application_name": name, **(session or {})})
    if scheme == "sqlite" and make_url(url).database not in {None, "", ":memory:"}:
        return _sqlite(url, deadlines or Deadlines())
    raise ValueError(f"database URL scheme {scheme!r} is not postgresql:// or sqlite:///file")


def _postgresql(url: str, deadlines: Deadlines, session: Mapping[str, str]) -> AsyncEngine:
    import asyncpg  # type: ignore[import-untyped]  # it ships no types

    learnt: dict[str, str] = {}

    async def connect() -> Any:
        try:
            connection = await asyncpg.connect(
                url,
                timeout=deadlines.connect,
                command_timeout=deadlines.statement + deadlines.lock,
                server_settings={**deadlines.for_the_server(), **learnt, **session},
            )
        except asyncpg.UndefinedObjectError as error:
            learnt.clear()
            raise ConnectionError(f"the server refuses a setting: {error}") from error
        if not learnt and connection.get_server_version() >= KEEPS_TRANSACTIONS_SHORT:
            await _tell(connection, deadlines.for_a_new_server())
            learnt.update(deadlines.for_a_new_server())
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=10,
        max_overflow=5,
        pool_timeout=deadlines.pool,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_the_dead)
    return engine


async def _tell(connection: Any, settings: Mapping[str, str]) -> None:
    """Set what could not be asked for with the connection, because nothing was known of its server."""
    for name, value in settings.items():
        await connection.execute(f"SET {name} = {value}")


def _refuse_the_dead(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that its server has closed.

    Costs nothing, where a ping costs three round trips (SQLAlchemy begins and ends a transaction for it). A peer that
    is gone without a word is noticed by neither before a statement's deadline.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server has closed it")


def _sqlite(url: str, deadlines: Deadlines) -> AsyncEngine:
    engine = create_async_engine(
        make_url(url).set(drivername="sqlite+aiosqlite"), pool_timeout=deadlines.pool, hide_parameters=True
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Let readers and the writer work side by side, and a second writer wait for its turn."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
