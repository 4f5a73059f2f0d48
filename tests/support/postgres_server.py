"""A PostgreSQL server on which each test has a database to itself, and the next one the same database, as good as new.

Making one, or only its tables, takes longer than most tests. So tables stay, for the next test that wants the same.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from support.private_postgres import START_SECONDS
from support.waiting import eventually

UNUSABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection raises that a test has ended."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A database whose tables stay, our own connection to it, and what its catalogue said when they were new."""

    name: str
    script: str
    connection: asyncpg.Connection
    catalogue: str

    async def is_as_new(self) -> bool:
        """End all other connections and empty the tables; tell whether everything else is as it was laid."""
        try:
            await self.connection.execute(OTHERS_LEAVE + EMPTY_TABLES)
            return bool(await self.connection.fetchval(CATALOGUE) == self.catalogue)
        except UNUSABLE:
            return False


class PostgresServer:
    """A server on which every test gets a database of its own, new or as good as new."""

    def __init__(self, admin_url: str, *, origin: str, lasting: bool) -> None:
        """`admin_url` may create databases; a `lasting` server outlives the tests, so they are dropped again."""
        self._admin_url = admin_url
        self._lasting = lasting
        self._ready = False
        self._empty: list[str] = []
        self._laid: list[Laid] = []
        self.origin = origin

    @asynccontextmanager
    async def new_database(self) -> AsyncIterator[str]:
        """Give the URL of an empty database."""
        if not self._ready:
            self._ready = await eventually(self._answers, within=START_SECONDS)
        name = self._empty.pop() if self._empty else await self._create()
        yield self._url_of(name)
        if self._lasting:
            await self._drop(name)
        else:
            await _execute(self._url_of(name), OTHERS_LEAVE + EMPTY)
            self._empty.append(name)

    @asynccontextmanager
    async def laid_database(self, script: str) -> AsyncIterator[str]:
        """Give the URL of a database that holds what this script makes, and nothing else."""
        found = next((each for each in self._laid if each.script == script), None)
        if found:
            self._laid.remove(found)
        laid = found or await self._lay(script)
        yield self._url_of(laid.name)
        if not self._lasting and await laid.is_as_new():
            self._laid.append(laid)
        else:
            laid.connection.terminate()
            await self._drop(laid.name)

    async def close(self) -> None:
        """Close our own connections, in the event loop in which databases were laid."""
        while self._laid:
            await self._laid.pop().connection.close()

    async def _lay(self, script: str) -> Laid:
        if not self._ready:
            self._ready = await eventually(self._answers, within=START_SECONDS)
        name = await self._create()
        connection = await asyncpg.connect(self._url_of(name), timeout=5, command_timeout=30)
        await connection.execute(script)
        return Laid(name, script, connection, await connection.fetchval(CATALOGUE))

    async def _create(self) -> str:
        name = f"tidings_test_{uuid4().hex[:12]}"
        await _execute(self._admin_url, f"CREATE DATABASE {name}")
        return name

    async def _drop(self, name: str) -> None:
        await _execute(self._admin_url, f"DROP DATABASE {name} WITH (FORCE)")

    def _url_of(self, name: str) -> str:
        return urlsplit(self._admin_url)._replace(path=f"/{name}").geturl()

    async def _answers(self) -> bool:
        try:
            await _execute(self._admin_url, "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=5, command_timeout=30)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


OTHERS_LEAVE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
"""

EMPTY = """
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""

EMPTY_TABLES = """
    SET session_replication_role = replica;
    DO $$
    DECLARE
        found record;
    BEGIN
        FOR found IN SELECT oid, oid::regclass AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '%version'
        LOOP
            IF pg_relation_size(found.oid) > 500000 THEN
                EXECUTE format('TRUNCATE %s CASCADE', found.name);
            ELSIF pg_relation_size(found.oid) > 0 THEN
                EXECUTE format('DELETE FROM %s', found.name);
            END IF;
        END LOOP;
        PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
    END $$;
"""
"""A table is truncated only when it has grown: that makes new files for all its indexes, and takes far longer."""

CATALOGUE = """
    SELECT concat_ws(' ',
        (SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_attribute WHERE attrelid >= 16384),
        (SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_constraint WHERE conrelid >= 16384),
        (SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_trigger),
        (SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_proc WHERE oid >= 16384),
        (SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_namespace),
        (SELECT string_agg(concat(oid, relname, relacl, reloptions), ' ' ORDER BY oid)
            FROM pg_class WHERE oid >= 16384),
        (SELECT string_agg(query_to_xml(format('SELECT * FROM %s', oid::regclass), true, false, '')::text, ' ')
            FROM pg_class WHERE relname LIKE '%version' AND relkind = 'r'),
        (SELECT count(*) FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
        (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384)
    )
"""
"""What any statement but those on rows would change; also what the planner has learned, and the version's row."""
