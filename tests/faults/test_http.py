"""Clients that go away, take their time, never end, or smuggle: against a real server on a real socket."""

import asyncio
import sqlite3
from contextlib import closing, suppress

import pytest
from support.clients_over_http import register
from support.mails import LINK_SECRET
from support.processes import resident_bytes
from support.sockets import a_post, raw_connection
from support.waiting import eventually

pytestmark = [pytest.mark.fault]

MEGABYTE = 1024 * 1024
ENDLESS = 100
"""Megabytes that somebody tries to send."""

ANN = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}
SMUGGLERS = [
    "Ann\r\nBcc: b@example.org",
    "Ann\nBcc: b@example.org",
    "=?UTF-8?Q?=0A?=",
    "Ann\0",
    "x" * 10_000,
    "\u202enna",
]


@pytest.fixture
async def api(services, tmp_path):
    """An API whose broker is away, so that what it has committed stays where it can be counted."""
    env = {
        "TIDINGS_DATABASE_URL": f"sqlite:///{tmp_path}/producer.db",
        "TIDINGS_BROKER_URL": "amqp://nobody@127.0.0.1:1/",
        "TIDINGS_DRAIN_SECONDS": "0",
        "TIDINGS_LINK_SECRET": LINK_SECRET,
    }
    await asyncio.to_thread(services.run, "producer_service", "migrate", env=env)
    api = services.start("producer_service", "api", env=env)
    await eventually(lambda: api.answers("/livez"), within=30)
    return api


@pytest.fixture
def committed(tmp_path):
    """Count users and messages."""

    def committed():
        with closing(sqlite3.connect(tmp_path / "producer.db")) as database:
            counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM outbox)"
            return database.execute(counts).fetchone()

    return committed


async def test_a_client_that_goes_away_in_the_middle_leaves_all_or_nothing(api, committed):
    head, body = a_post("/v1/users", ANN)
    for cut in (len(head) // 2, len(head), len(head) + len(body) // 2):
        async with raw_connection(api.port) as client:
            await client.send((head + body)[:cut])

    async with raw_connection(api.port) as client:
        await client.send(head, body)

    await eventually(lambda: committed() == (1, 1), within=30)
    assert (await register(api, "bob@example.org")).status_code == 202
    assert committed() == (2, 2)


async def test_a_body_without_end_is_refused_early_and_fills_no_memory(api, committed):
    assert (await register(api)).status_code == 202
    before = resident_bytes(api.process.pid)
    head, _ = a_post("/v1/users", ANN, chunked=True)

    async with raw_connection(api.port) as client:
        await client.send(head)
        with suppress(ConnectionError):
            for _ in range(ENDLESS):
                await client.send(b"100000\r\n", b" " * MEGABYTE, b"\r\n")
        assert await client.status() in {413, 0}

    assert resident_bytes(api.process.pid) - before < 30 * MEGABYTE
    assert committed() == (1, 1)


async def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(api):
    head, _ = a_post("/v1/users", ANN, declared=100 * MEGABYTE)

    async with raw_connection(api.port) as client:
        await client.send(head)
        assert await client.status() == 413


async def test_a_client_that_sends_a_byte_now_and_then_is_told_that_it_is_too_slow(api, committed):
    head, body = a_post("/v1/users", ANN)

    async with raw_connection(api.port) as slow:
        await slow.send(head, body[:10])
        answering = asyncio.create_task(slow.status())
        others = [await register(api, f"user{number}@example.org") for number in range(3)]
        assert await answering == 408

    assert [answer.status_code for answer in others] == [202] * 3
    assert committed() == (3, 3)


async def test_what_could_smuggle_a_header_into_a_mail_is_refused_at_the_door(api, committed):
    for name in SMUGGLERS:
        head, body = a_post("/v1/users", ANN | {"name": name})
        async with raw_connection(api.port) as client:
            await client.send(head, body)
            assert await client.status() == 422, name

    assert committed() == (0, 0)
