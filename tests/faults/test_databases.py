"""The databases of both services are stopped, cut off, locked, exhausted, or say nothing at the worst moment."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text
from support.commit_proxy import commit_proxy
from support.composition import open_pair, open_scene
from support.mortal_postgres import Behind, a_mortal_postgres, locked
from support.pair import PROMPT
from support.tasks import effects
from support.waiting import eventually

from producer_service.database import DATABASE_ERRORS

pytestmark = [pytest.mark.broker, pytest.mark.fault]

LOCK_SECONDS = 6.0
"""Longer than the services wait for a lock."""

SMALL_LOG = ("--wal-segsize=1",)
"""So that a limit on the size of files can be met by a table and not by the log, in MB."""

LIMIT = 2 * 1024 * 1024
FULL = """
    INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time,
                        recorded_at, status, published_at)
    SELECT 'old-' || n, 'user', 'old', 'user.created', decode(repeat('ab', 1000), 'hex'), 'domain.events', '/tests',
           'old', now(), now(), 'published', now() FROM generate_series(1, 2200) AS n
"""
"""More rows than the limit has room for."""


@pytest.fixture(scope="module")
def mortal_postgres():
    with a_mortal_postgres("max_connections=60", initdb=SMALL_LOG) as postgres:
        yield postgres


@pytest.fixture
async def scene(mortal, mortal_postgres):
    async with open_scene(mortal, mortal_postgres) as scene:
        yield scene


async def is_committed(pair, events):
    """Commit so many events as one writer among others; what the database refuses was not accepted."""
    try:
        return await pair.accept(events)
    except DATABASE_ERRORS:
        return None


async def is_accepted(pair):
    await asyncio.sleep(0.1)
    return (await pair.register()).status_code == httpx2.codes.ACCEPTED


def is_worth_a_later_try(answer):
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    return True


async def is_refused(pair):
    answer = await pair.register()
    return answer.status_code != httpx2.codes.ACCEPTED and is_worth_a_later_try(answer)


@asynccontextmanager
async def committing_on_and_on(pair):
    """Commit events, whatever becomes of the database; what it refuses was not accepted."""

    async def commit():
        while True:
            await is_committed(pair, 1)
            await asyncio.sleep(0.02)

    committing = asyncio.create_task(commit())
    try:
        yield
    finally:
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)


async def further(pair):
    """Wait until more was accepted, so that work is in hand everywhere."""
    goal = len(pair.users) + 10
    await eventually(lambda: len(pair.users) >= goal, within=30)


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_while_the_database_is_down_the_api_asks_for_patience_and_afterwards_all_is_done(
    pair, mortal_postgres, how
):
    async with committing_on_and_on(pair):
        for _ in range(3):
            await further(pair)
            async with mortal_postgres.down(how):
                assert is_worth_a_later_try(await pair.register())
            await eventually(lambda: is_accepted(pair), within=30)

    await pair.balances()
    assert await pair.worker.is_consuming()


async def test_transactions_cut_in_the_middle_are_done_again_and_once(pair, mortal_postgres):
    for _ in range(8):
        await eventually(lambda: is_committed(pair, 2), within=30)
        await mortal_postgres.cut_everybody()

    await pair.balances()


async def test_a_locked_inbox_stops_the_work_and_not_the_worker(pair):
    await pair.accept(3)
    database = str(pair.consumer_env["TIDINGS_DATABASE_URL"])

    async with locked(database, "inbox", "effects"):
        await pair.accept(6)
        await asyncio.sleep(LOCK_SECONDS)
        assert await pair.worker.is_consuming()
        assert (await pair.api.get("/livez")).status_code == 200

    await pair.balances()


async def test_a_locked_outbox_makes_the_api_ask_for_patience_in_bounded_time(pair):
    database = str(pair.producer_env["TIDINGS_DATABASE_URL"])

    async with locked(database, "outbox"), asyncio.timeout(30):
        assert is_worth_a_later_try(await pair.register())
        assert (await pair.api.get("/livez")).status_code == 200

    await eventually(lambda: is_accepted(pair), within=30)
    await pair.balances()


async def test_transactions_that_cannot_be_serialized_are_tried_again(pair, mortal_postgres):
    async with mortal_postgres.setting("default_transaction_isolation", "serializable"):
        await eventually(lambda: is_committed(pair, 30), within=30)
        await pair.balances()


async def test_a_database_that_can_only_be_read_loses_nothing(pair, mortal_postgres):
    await pair.accept(6)

    async with mortal_postgres.setting("default_transaction_read_only", "on"):
        assert is_worth_a_later_try(await pair.register())

    await eventually(lambda: is_accepted(pair), within=30)
    await pair.balances()


async def test_without_a_connection_left_both_services_wait_and_go_on(pair, mortal_postgres):
    await pair.accept(6)

    async with mortal_postgres.taken(), asyncio.timeout(30):
        assert is_worth_a_later_try(await pair.register())
        assert (await pair.api.get("/livez")).status_code == 200

    await eventually(lambda: is_accepted(pair), within=30)
    await pair.balances()


async def test_a_disk_without_room_refuses_requests_and_loses_nothing_that_was_accepted(pair, mortal_postgres):
    await pair.accept(6)
    await pair.balances()
    async with pair.outbox.begin() as connection:
        await connection.execute(text(FULL))

    async with mortal_postgres.full_disk(LIMIT):
        # The last page of the table may have room for a few rows yet.
        await eventually(lambda: is_refused(pair), within=30)

    await eventually(lambda: is_accepted(pair), within=30)
    async with pair.outbox.begin() as connection:
        await connection.execute(text("DELETE FROM outbox WHERE id LIKE 'old-%'"))
    await pair.balances()


OUTBOX, INBOX = 0, 1


@pytest.fixture
def pair_behind(mortal, mortal_postgres):
    """Run a pair whose outbox, or whose inbox, is reached through a proxy that can swallow the answer to a commit."""

    @asynccontextmanager
    async def pair_behind(database):
        async with commit_proxy(mortal_postgres.private.port) as proxy:
            server = Behind(mortal_postgres, proxy, database)
            async with open_scene(mortal, server) as scene, open_pair(scene) as pair:
                yield await pair.is_ready(), proxy

    return pair_behind


async def test_an_effect_whose_commit_was_not_answered_is_neither_lost_nor_repeated(pair_behind):
    async with pair_behind(INBOX) as (pair, proxy):
        proxy.after = b"INSERT INTO effects"
        (event,) = await pair.accept(1, names=[PROMPT])
        await asyncio.wait_for(proxy.fired.wait(), 30)
        proxy.heal()

        await pair.balances()

        assert (await effects(pair.inbox))[event] == 1


async def test_a_request_whose_commit_was_not_answered_can_be_repeated_and_is_one_user(pair_behind):
    async with pair_behind(OUTBOX) as (pair, proxy):
        body = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}
        proxy.after = b"INSERT INTO outbox"
        request = asyncio.create_task(pair.api.post("/v1/users", json=body))
        await asyncio.wait_for(proxy.fired.wait(), 30)
        proxy.heal()
        assert is_worth_a_later_try(await request)

        await eventually(lambda: is_taken(pair, body), within=30)

        assert await pair.users_registered() == 1
        assert [row.type for row in (await pair.rows()).values()].count("user.created") == 1


async def is_taken(pair, body):
    await asyncio.sleep(0.1)
    return (await pair.api.post("/v1/users", json=body)).status_code == httpx2.codes.ACCEPTED
