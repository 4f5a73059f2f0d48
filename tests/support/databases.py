"""Databases for tests: SQLite files, and a PostgreSQL server from wherever one can be had.

In this order: the server named by TIDINGS_TEST_POSTGRES_URL, a private one from the binaries of this machine, one in
a container. Without any, tests are skipped, or fail where TIDINGS_REQUIRE lists `postgres`.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from support.docker_engine import engine_answers
from support.in_memory import memory
from support.postgres_server import PostgresServer
from support.private_postgres import NoPostgres, PrivatePostgres
from support.schemas import Schema
from support.used import note

URL = "TIDINGS_TEST_POSTGRES_URL"
IMAGE = "postgres:17"


CARELESS = ("fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off")
"""For a server that no test crashes: those that do start their own. And it does nothing that nobody asked it to."""

ON_POSTGRES = pytest.param("postgresql", marks=pytest.mark.postgres)

on_postgres = pytest.mark.parametrize("server", [ON_POSTGRES], indirect=True)
"""For what SQLite cannot do: several writers, row locks, deadlines kept by the server."""

on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
"""For what has nothing to do with the kind of database."""


@pytest.fixture(scope="session")
async def postgres(pytestconfig: pytest.Config) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL server for the whole run; started only when a test asks for it."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(open_postgres(*CARELESS))
        except NoPostgres as reasons:
            _give_up(str(reasons))
        note(pytestconfig, "postgresql", server.origin)
        yield server
        await server.close()


@pytest.fixture(scope="session")
def new_postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A server of PostgreSQL 17 or later, in a container; for what older ones cannot do."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(_in_a_container())
        except NoPostgres as reason:
            pytest.skip(f"no PostgreSQL 17: {reason}")
        note(pytestconfig, "new postgresql", server.origin)
        yield server


@contextmanager
def open_postgres(*settings: str) -> Iterator[PostgresServer]:
    """Yield the first server that can be had, and leave nothing of ours behind. Raises NoPostgres where none can.

    `settings`, as in postgresql.conf, are those of a server that is started from binaries.
    """
    reasons: list[str] = []
    with ExitStack() as stack:
        for opened in (_given, partial(_private, *settings), _in_a_container):
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


@pytest.fixture(scope="session")
def in_memory() -> Iterator[Path]:
    """A folder for files that no test needs to outlive: in memory, where the machine has such."""
    folder = Path(tempfile.mkdtemp(prefix="tidings-tests-", dir=memory()))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_file(in_memory: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where the test's SQLite database is or will be: with the tables of `schema`, if it asks for that."""
    folder = Path(tempfile.mkdtemp(dir=in_memory))
    if schema := _schema(request):
        schema.copy(folder / "tidings.db")
    yield folder / "tidings.db"
    # A cancelled task's connection is closed in the background, and may write beside the file until then.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(server: PostgresServer | None, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a new database, which holds the tables of `schema` or nothing; the test runs once on each kind."""
    if server is None:
        yield f"sqlite:///{request.getfixturevalue('sqlite_file')}"
        return
    async with _on(server, request) as url:
        yield url


@pytest.fixture
async def postgres_url(postgres: PostgresServer, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a new PostgreSQL database, for what SQLite cannot do."""
    async with _on(postgres, request) as url:
        yield url


def _on(server: PostgresServer, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[str]:
    schema = _schema(request)
    return server.laid_database(schema.script("postgresql")) if schema else server.new_database()


def _schema(request: pytest.FixtureRequest) -> Schema | None:
    """Return the tables that the test, or a fixture of it, wants to find."""
    return request.getfixturevalue("schema") if "schema" in request.fixturenames else None


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
def _private(*settings: str) -> Iterator[PostgresServer]:
    """Start a server of our own, in a directory of its own, on a free port of this machine only."""
    private = PrivatePostgres(*settings)
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
