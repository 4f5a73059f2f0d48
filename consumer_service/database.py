"""The consumer's database: an engine whose every wait has a deadline, and patience for when it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from math import ceil
from typing import Any, TypeVar

import structlog
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
LOCK_SECONDS = 5
IDLE_TRANSACTION_SECONDS = 60
TRANSACTION_SECONDS = 120
"""Kept from PostgreSQL 17 on, which alone also ends a client that froze between two messages of one statement."""

MIGRATION_SECONDS = 3600
TRANSACTION_TIMEOUT, TRANSACTION_TIMEOUT_SINCE = "transaction_timeout", (17,)
PAUSE_SECONDS = 1.0

DATABASE_ERRORS = (SQLAlchemyError, OSError, TimeoutError)
"""What a database that is away, slow or restarting makes SQLAlchemy and its drivers raise."""

log: Any = structlog.get_logger()


def longest_transaction(longest_task: timedelta) -> int:
    """Return how many seconds a transaction may take, so that no task of this timeout is ever cut short by it."""
    return max(TRANSACTION_SECONDS, ceil(longest_task.total_seconds()) + IDLE_TRANSACTION_SECONDS)


def open_engine(
    url: str,
    *,
    pool_size: int = 10,
    statement_seconds: int = STATEMENT_SECONDS,
    transaction_seconds: int = TRANSACTION_SECONDS,
) -> AsyncEngine:
    """Return an engine; opens no connection. `postgresql://` means asyncpg, `sqlite://` means aiosqlite.

    A PostgreSQL URL may say all that libpq URLs can say about TLS and hosts. Error texts never show parameters,
    because parameters hold people's data. 0 seconds are without end.
    """
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return _open_sqlite(url)
    settings = {
        "application_name": "tidings consumer",
        "statement_timeout": f"{statement_seconds}s",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_SECONDS}s",
    }
    door = _Door(f"postgresql://{rest}", settings, f"{transaction_seconds}s", statement_seconds + LOCK_SECONDS)
    return _open_postgresql(door, pool_size)


class _Door:
    """Opens connections to one PostgreSQL, and finds out with the first what its server knows."""

    def __init__(self, url: str, settings: dict[str, str], transaction_timeout: str, command_seconds: int) -> None:
        self._url = url
        self._settings = settings
        self._transaction_timeout = transaction_timeout
        self._command_seconds = command_seconds

    async def connect(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # it ships no types

        try:
            connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                command_timeout=self._command_seconds,
                server_settings=self._settings,
            )
        except asyncpg.UndefinedObjectError as error:
            self._settings.pop(TRANSACTION_TIMEOUT, None)
            raise ConnectionError(f"the server refuses a setting: {error}") from error
        await self._limit_transactions(connection)
        return connection

    async def _limit_transactions(self, connection: Any) -> None:
        """Set what an older server would have refused us for, and ask for it with each connection from now on."""
        if TRANSACTION_TIMEOUT in self._settings or connection.get_server_version() < TRANSACTION_TIMEOUT_SINCE:
            return
        await connection.execute(f"SET {TRANSACTION_TIMEOUT} = '{self._transaction_timeout}'")
        self._settings[TRANSACTION_TIMEOUT] = self._transaction_timeout


def _open_postgresql(door: _Door, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=door.connect,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_SECONDS,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_the_dead)
    return engine


def _refuse_the_dead(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that its server has closed.

    Costs nothing, where a ping costs three round trips (SQLAlchemy begins and ends a transaction for it). A peer that
    is gone without a word is noticed by neither before a statement's deadline.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server has closed it")


def _open_sqlite(url: str) -> AsyncEngine:
    engine = create_async_engine(make_url(url).set(drivername="sqlite+aiosqlite"), hide_parameters=True)

    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", f"busy_timeout={LOCK_SECONDS * 1000}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", configure)
    return engine


async def insist(ask: Callable[[], Awaitable[T]], *, queue: str, pause_seconds: float = PAUSE_SECONDS) -> T:
    """Ask the database until it answers. Meanwhile deliveries stay unsettled, and prefetch stops the flow."""
    while True:
        try:
            return await ask()
        except DATABASE_ERRORS as error:
            log.warning("inbox.unavailable", queue=queue, error=type(error).__name__)
            await asyncio.sleep(pause_seconds)
