"""Databases for tests: SQLite files, and a PostgreSQL server from wherever one can be had.

In this order: the server named by TIDINGS_TEST_POSTGRES_URL, a private one from the binaries of this machine, one in
a container. Without any, tests are skipped, or fail where TIDINGS_REQUIRE lists `postgres`.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from support.docker_engine import engine_answers
from support.private_postgres import START_SECONDS, NoPostgres, PrivatePostgres
from support.used import note
from support.waiting import eventually

URL = "TIDINGS_TEST_POSTGRES_URL"
IMAGE = "postgres:17-alpine"


ON_POSTGRES = pytest.param("postgresql", marks=pytest.mark.postgres)

on_postgres = pytest.mark.parametrize("server", [ON_POSTGRES], indirect=True)
"""For what SQLite cannot do: several writers, row locks, deadlines kept by the server."""

on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
"""For what has nothing to do with the kind of database."""


class PostgresServer:
    """A server on which every test gets a database of its own, new or as good as new: making one takes a while."""

    def __init__(self, admin_url: str, *, origin: str, lasting: bool) -> None:
        """`admin_url` may create databases; a `lasting` server outlives the tests, so they are dropped again."""
        self._admin_url = admin_url
        self._lasting = lasting
        self._ready = False
        self._unused: list[str] = []
        self.origin = origin

    @asynccontextmanager
    async def new_database(self) -> AsyncIterator[str]:
        """Give the URL of an empty database."""
        if not self._ready:
            self._ready = await eventually(self._answers, within=START_SECONDS)
        name = self._unused.pop() if self._unused else await self._create()
        yield self._url_of(name)
        if self._lasting:
            await _execute(self._admin_url, f"DROP DATABASE {name} WITH (FORCE)")
        else:
            await _execute(self._url_of(name), EMPTY)
            self._unused.append(name)

    async def _create(self) -> str:
        name = f"tidings_test_{uuid4().hex[:12]}"
        await _execute(self._admin_url, f"CREATE DATABASE {name}")
        return name

    def _url_of(self, name: str) -> str:
        return urlsplit(self._admin_url)._replace(path=f"/{name}").geturl()

    async def _answers(self) -> bool:
        try:
            await _execute(self._admin_url, "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
"""


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=5, command_timeout=30)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run; started only when a test asks for it."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(open_postgres())
        except NoPostgres as reasons:
            _give_up(str(reasons))
        note(pytestconfig, "postgresql", server.origin)
        yield server


@contextmanager
def open_postgres() -> Iterator[PostgresServer]:
    """Yield the first server that can be had, and leave nothing of ours behind. Raises NoPostgres where none can."""
    reasons: list[str] = []
    with ExitStack() as stack:
        for opened in (_given, _private, _in_a_container):
            try:
                server = stack.enter_context(opened())
            except NoPostgres as reason:
                reasons.append(str(reason))
            else:
                yield server
                return
    raise NoPostgres(f"no PostgreSQL: {'; '.join(reasons)}. Install Debian's `postgresql`, or set {URL}")


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def server(request: pytest.FixtureRequest) -> PostgresServer | None:
    """Where the test's database lives; None is SQLite, which lives in a file."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
async def database_url(server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a new, empty database; the test runs once on each kind."""
    if server is None:
        yield f"sqlite:///{tmp_path}/tidings.db"
        return
    async with server.new_database() as url:
        yield url


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """The URL of a new, empty PostgreSQL database, for what SQLite cannot do."""
    async with postgres.new_database() as url:
        yield url


def _give_up(reason: str) -> NoReturn:
    if "postgres" in os.environ.get("TIDINGS_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _given() -> Iterator[PostgresServer]:
    url = os.environ.get(URL)
    if not url:
        raise NoPostgres(f"{URL} is not set")
    yield PostgresServer(url, origin="(given)", lasting=True)


@contextmanager
def _private() -> Iterator[PostgresServer]:
    """Start a server of our own, in a directory of its own, on a free port of this machine only."""
    private = PrivatePostgres()
    try:
        private.start()
        yield PostgresServer(private.url, origin=f"{private.version} (private)", lasting=False)
    finally:
        private.close()


@contextmanager
def _in_a_container() -> Iterator[PostgresServer]:
    try:
        from docker.errors import DockerException
        from testcontainers.community.postgres import PostgresContainer
    except ImportError:
        raise NoPostgres("testcontainers is not installed") from None
    if not engine_answers():
        raise NoPostgres("no Docker engine answers")
    try:
        container = PostgresContainer(IMAGE, driver=None).start()
    except (DockerException, OSError) as error:
        raise NoPostgres(f"no container ({type(error).__name__})") from None
    try:
        yield PostgresServer(container.get_connection_url(), origin=f"{IMAGE} (container)", lasting=False)
    finally:
        container.stop()
