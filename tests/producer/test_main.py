"""The processes themselves, as an operator starts and stops them."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from support.databases import on_sqlite
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.outbox import Outbox

ROOT = Path(__file__).parents[2]
ANN = {"email": "ann@example.org", "password": "correct horse"}

pytestmark = [on_sqlite, pytest.mark.slow]


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def started(database_url, port):
    """Start `python -m producer_service` with a broker that is away; it is killed if the test has not stopped it."""

    @asynccontextmanager
    async def started(*arguments, **changes):
        ours = {
            "TIDINGS_DATABASE_URL": database_url,
            "TIDINGS_BROKER_URL": "amqp://guest:canary@127.0.0.1:1/",
            "TIDINGS_LINK_SECRET": "a-link-secret-of-at-least-32-characters",
            "TIDINGS_HTTP_PORT": str(port),
            "TIDINGS_RELAY_HTTP_PORT": str(port),
            "TIDINGS_DRAIN_SECONDS": "0",
            "TIDINGS_LOG_FORMAT": "json",
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "producer_service",
            *arguments,
            cwd=ROOT,
            env=clean | ours | changes,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return started


@pytest.fixture
def ran(started):
    """Run it to its end; return its exit code and what it printed."""

    async def ran(*arguments, **changes):
        async with started(*arguments, **changes) as process:
            out, err = await asyncio.wait_for(process.communicate(), 20)
            return process.returncode, out.decode() + err.decode()

    return ran


@pytest.fixture
async def web(port):
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:
        yield web


@pytest.fixture
def ready(web):
    async def ready():
        try:
            return (await web.get("/readyz")).status_code == 200
        except httpx2.ConnectError:
            return False

    return ready


async def test_the_api_accepts_while_the_broker_is_away_and_ends_well(ran, started, web, ready, database_url):
    migrated = await ran("migrate")

    async with started("api") as process:
        await eventually(ready, within=15)
        accepted = (await web.post("/v1/users", json=ANN)).status_code
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 15)

    assert (migrated[0], accepted, process.returncode) == (0, 202, 0)
    assert await pending(database_url) == 1
    assert b"relay.interrupted" in log
    assert b"canary" not in log


async def test_a_relay_of_its_own_shows_its_health_and_ends_well(engine, started, web, ready):  # noqa: ARG001 - its tables
    async with started("relay") as process:
        await eventually(ready, within=15)
        registered = (await web.post("/v1/users", json=ANN)).status_code
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 15)

    assert (registered, process.returncode) == (404, 0)


async def test_a_database_that_is_away_ends_a_migration_with_one_line(ran):
    code, said = await ran("migrate", TIDINGS_DATABASE_URL="postgresql://canary:canary@127.0.0.1:1/canary")

    assert (code, len(said.splitlines())) == (1, 1)
    assert "canary" not in said


async def pending(database_url):
    engine = open_engine(database_url)
    backlog = await Outbox(engine).backlog()
    await engine.dispose()
    return backlog.pending
