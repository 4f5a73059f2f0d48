"""Several relays, relays that freeze, rows that cannot be published, outboxes that are purged or grow without end."""

import asyncio
import resource
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from support.bookkeeping import PROMPT
from support.peeking import ids_in, witness
from support.waiting import eventually

from producer_service.outbox import Outbox

pytestmark = [pytest.mark.broker, pytest.mark.fault]

BACKLOG = 1_000_000
LARGEST_GROWTH = 64 * 1024 * 1024
"""Bytes. A claim of 500 rows of this kind is some hundreds of kilobytes."""

AT_ONCE = 20_000
"""Rows of one statement, which has ten seconds."""

FILL = """
    INSERT INTO outbox (
        id, aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time, recorded_at
    )
    SELECT gen_random_uuid(), 'user', 'bulk-' || n, 'user.created', '\\x7b7d', 'domain.events', '/tests', 'c',
           now(), now()
    FROM generate_series(1, :rows) AS n
"""


async def test_three_relays_publish_every_row_once_and_every_user_in_order(scene, doomed):
    witnessed = await witness(scene.admin.url)
    users = [uuid4() for _ in range(8)]
    order = {user: [] for user in users}
    for number in range(160):
        user = users[number % len(users)]
        order[user] += await scene.accept(1, user=user)

    for relay in [doomed("relay", TIDINGS_RELAY_BATCH_SIZE="10") for _ in range(3)]:
        await relay.is_ready()
    await eventually(scene.all_published, within=60)

    arrived = await ids_in(scene.admin.url, witnessed)
    assert len(arrived) == len(set(arrived)) == 160
    for events in order.values():
        assert [event for event in arrived if event in set(events)] == events


@pytest.mark.slow_fault
async def test_a_relay_frozen_while_it_holds_a_claim_is_succeeded_and_marks_nothing_when_it_thaws(scene, doomed):
    frozen = await doomed("relay").is_ready()
    scene.publishing.blackhole("to_client")
    (event,) = await scene.accept(1)
    await eventually(lambda: scene.is_claimed(event), within=30)
    frozen.freeze()
    scene.publishing.heal()

    await doomed("relay").is_ready()
    await eventually(scene.all_published, within=60)
    (row,) = (await scene.rows()).values()
    frozen.thaw()

    await eventually(lambda: "relay.interrupted" in frozen.said, within=30)
    (still,) = (await scene.rows()).values()
    assert (still.attempts, still.published_at) == (row.attempts, row.published_at)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("type", "x" * 300, "invalid"), ("payload", b"x" * (17 * 1024 * 1024), "invalid")],
    ids=["routing key too long", "body larger than any broker takes"],
)
async def test_a_row_that_no_broker_takes_is_parked_and_holds_up_only_its_own_aggregate(pair, column, value, reason):
    poison, ann = "poison", UUID(int=1)
    (first,) = await pair.accept(1, names=[PROMPT], user=ann)
    await eventually(pair.all_published, within=20)
    async with pair.outbox.begin() as connection:
        columns = (
            "aggregatetype, aggregateid, type, payload, exchange, source, correlationid, time, recorded_at, status"
        )
        copied = f"INSERT INTO outbox (id, {columns}) SELECT :id, {columns} FROM outbox WHERE id = :first"  # noqa: S608
        await connection.execute(text(copied.replace("status FROM", "'pending' FROM")), {"id": poison, "first": first})
        changed = f"UPDATE outbox SET {column} = :value WHERE id = :id"  # noqa: S608 - ours
        await connection.execute(text(changed), {"id": poison, "value": value})
    (held,) = await pair.accept(1, names=[PROMPT], user=ann)
    others = await pair.accept(3, names=[PROMPT])

    async def parked():
        return (await pair.rows())[poison].status == "parked"

    await eventually(parked, within=40)
    await eventually(lambda: pair.booked(others), within=40)
    rows = await pair.rows()
    assert (rows[poison].parked_reason, rows[held].status) == (reason, "pending")


async def test_purging_beside_the_relay_deletes_nothing_that_was_not_published(pair):
    accepted, stop = [], asyncio.Event()

    async def purge_for_ever():
        while not stop.is_set():
            await Outbox(pair.outbox).purge_published(timedelta(0))
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(purge_for_ever())
        for _ in range(10):
            accepted += await pair.accept(6, names=[PROMPT])
            await asyncio.sleep(0.1)
        await eventually(lambda: pair.booked(accepted), within=40)
        stop.set()

    await eventually(lambda: pair.mailed(accepted), within=40)


@pytest.mark.slow_fault
async def test_a_backlog_of_a_million_rows_delays_no_request_and_takes_no_more_memory(pair):
    assert (await pair.register()).status_code == 202  # Hashing its first password takes 64 MiB, once.
    await pair.balances()
    pair.publishing.refusing = True
    pair.publishing.reset()
    for _ in range(BACKLOG // AT_ONCE):
        async with pair.outbox.begin() as connection:
            await connection.execute(text(FILL), {"rows": AT_ONCE})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    await eventually(pair.relay_waits, within=60)
    began = asyncio.get_running_loop().time()
    assert (await pair.register()).status_code == 202
    took = asyncio.get_running_loop().time() - began

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert grown < LARGEST_GROWTH
    assert took < 5
