"""The consumer's database: an engine whose every wait has a deadline, and patience for when it is away."""

import asyncio
from collections.abc import Awaitable, Callable
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
MIGRATION_SECONDS = 3600
PAUSE_SECONDS = 1.0

DATABASE_ERRORS = (SQLAlchemyError, OSError, TimeoutError)
"""What a database that is away, slow or restarting makes SQLAlchemy and its drivers raise."""

log: Any = structlog.get_logger()


def open_engine(url: str, *, pool_size: int = 10, statement_seconds: int = STATEMENT_SECONDS) -> AsyncEngine:
    """Return an engine; opens no connection. `postgresql://` means asyncpg, `sqlite://` means aiosqlite.

    A PostgreSQL URL may say all that libpq URLs can say about TLS and hosts. Error texts never show parameters,
    because parameters hold people's data.
    """
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return _open_sqlite(url)
    return _open_postgresql(f"postgresql://{rest}", pool_size, statement_seconds)


def _open_postgresql(url: str, pool_size: int, statement_seconds: int) -> AsyncEngine:
    import asyncpg  # type: ignore[import-untyped]  # it ships no types

    async def connect() -> Any:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds + LOCK_SECONDS,
            server_settings={
                "application_name": "tidings consumer",
                "statement_timeout": f"{statement_seconds}s",
                "lock_timeout": f"{LOCK_SECONDS}s",
                "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_SECONDS}s",
            },
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
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
