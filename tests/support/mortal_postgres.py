"""A PostgreSQL that a test may hurt, and what it does to it; healed again when each context is left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import asyncpg
import pytest
from support.databases import PostgresServer
from support.faultproxy import FaultProxy
from support.private_postgres import NoPostgres, PrivatePostgres
from support.waiting import eventually
from yarl import URL

ANSWER_SECONDS = 5.0
BACK_SECONDS = 30.0

OTHERS = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
"""Everybody's connections but ours."""

END = "pg_terminate_backend(pid) FROM pg_stat_activity"


UNHURRIED = "wal_writer_delay=10000"
"""Milliseconds. By default a commit that nobody waits for is on disk after half a second at most."""


class MortalPostgres(PostgresServer):
    """A private server with its administrator's tools."""

    def __init__(self, private: PrivatePostgres) -> None:
        """Take a server that was started."""
        super().__init__(private.url, origin=f"{private.version} (private)", lasting=False)
        self.private = private

    async def execute(self, *statements: str, database: str = "") -> None:
        """Run each of these as the administrator, outside of any transaction."""
        connection = await self._connect(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _connect(self, database: str = "") -> asyncpg.Connection:
        return await asyncpg.connect(database or self.private.url, timeout=ANSWER_SECONDS, command_timeout=30)

    async def is_back(self) -> bool:
        """Start it unless it runs, and tell whether it answers."""
        if not self.private.runs:
            self.private.start()
        try:
            await self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    @asynccontextmanager
    async def down(self, how: str) -> AsyncIterator[None]:
        """Be stopped, `fast` or `immediate`, for as long as this context lasts."""
        await asyncio.to_thread(self.private.stop, how)
        try:
            yield
        finally:
            await eventually(self.is_back, within=BACK_SECONDS)

    async def cut_everybody(self) -> None:
        """End every connection but this one, in the middle of whatever it does."""
        await self.execute(f"SELECT {END} WHERE {OTHERS}")

    @asynccontextmanager
    async def setting(self, name: str, value: str) -> AsyncIterator[None]:
        """Be configured like this; connections that exist keep to what they began with, so they are cut."""
        await self.execute(f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()")
        await self.cut_everybody()
        try:
            yield
        finally:
            await self.execute("SET default_transaction_read_only = off", f"ALTER SYSTEM RESET {name}")
            await self.execute("SELECT pg_reload_conf()")
            await self.cut_everybody()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Have no connection left for anybody: those that others hold are ended, and taken by us."""
        ours = [await self._connect()]
        try:
            others = 1
            while others:
                mine = [connection.get_server_pid() for connection in ours]
                await ours[0].execute(f"SELECT {END} WHERE {OTHERS} AND pid <> ALL(ARRAY{mine})")
                with suppress(asyncpg.TooManyConnectionsError):
                    while True:
                        ours.append(await self._connect())
                everybody = await ours[0].fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {OTHERS}")  # noqa: S608
                others = everybody - len(ours) + 1
            yield
        finally:
            for connection in ours:
                await connection.close()

    @asynccontextmanager
    async def full_disk(self, largest_file: int) -> AsyncIterator[None]:
        """Let no file grow beyond so many bytes, as on a disk without room. Begins and ends with a restart."""
        async with self.down("fast"):
            self.private.start(largest_file=largest_file)
            await eventually(self.is_back, within=BACK_SECONDS)
            yield
            await asyncio.to_thread(self.private.stop, "fast")


@asynccontextmanager
async def locked(database: str, *tables: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Hold these tables of any server, so that nobody else can even read them; gives a way to ask whether one waits."""
    connection = await asyncpg.connect(database, timeout=ANSWER_SECONDS, command_timeout=30)

    async def is_waited_for() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
            yield is_waited_for
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Behind:
    """A server of which one database, the n-th to be made, is reached through a proxy."""

    server: PostgresServer
    proxy: FaultProxy
    database: int
    made: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def new_database(self) -> AsyncIterator[str]:
        """Give the URL of an empty database."""
        async with self.server.new_database() as url:
            is_it = next(self.made) == self.database
            yield str(URL(url).with_port(self.proxy.port)) if is_it else url


@contextmanager
def a_mortal_postgres(*settings: str, initdb: tuple[str, ...] = ()) -> Iterator[MortalPostgres]:
    """Run a private one with these settings, as in postgresql.conf; skips where there are no binaries to run."""
    try:
        private = PrivatePostgres(*settings, initdb=initdb)
    except NoPostgres as reason:
        pytest.skip(f"{reason}, and another one is not ours to hurt: install Debian's `postgresql`")
    private.start()
    try:
        yield MortalPostgres(private)
    finally:
        private.close()


def a_forgetful_postgres() -> AbstractContextManager[MortalPostgres]:
    """Run one that keeps what nobody waits for to itself for ten seconds, so that a crash forgets it."""
    return a_mortal_postgres(UNHURRIED)
