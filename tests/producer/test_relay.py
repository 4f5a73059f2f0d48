import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text, update
from structlog.testing import capture_logs
from support.builders import a_queue, a_topology
from support.databases import on_postgres, on_sqlite
from support.publishers import GatedPublisher, RecordingPublisher
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.claims import Claims
from producer_service.database import Deadlines, open_engine
from producer_service.metrics import Metrics
from producer_service.models import OutboxRow, Status
from shared.backends.memory import MemoryTransport
from shared.transport import Fate

ANN, BOB = UUID(int=1), UUID(int=2)
HOURLY = Backoff(first=3600.0, most=3600.0)


@pytest.fixture
def statuses(rows):
    async def statuses():
        return [row.status for row in await rows()]

    return statuses


@pytest.fixture
def all_published(statuses):
    async def all_published():
        return set(await statuses()) == {"published"}

    return all_published


async def test_a_recorded_event_reaches_a_bound_queue(make_relay, running, recorded, all_published):
    transport = MemoryTransport()
    await transport.apply(a_topology(a_queue("consumer.mail", "user.created")))
    (event_id,) = await recorded(ANN)

    async with transport.publisher() as publisher, running(make_relay(publisher=publisher)):
        await eventually(all_published)

    async with transport.subscribe("consumer.mail", prefetch=1) as subscription:
        (delivery,) = await subscription.take(1)
    assert delivery.message.message_id == event_id


async def test_a_backlog_is_drained_without_resting(make_relay, running, recorded, publisher, all_published):
    ids = await recorded(*(uuid4() for _ in range(95)))

    async with running(make_relay({"batch_size": 10, "poll": HOURLY})):
        await eventually(all_published)

    assert publisher.ids == ids
    assert [len(batch) for batch in publisher.batches] == [10] * 9 + [5]


@on_sqlite
async def test_a_commit_wakes_the_relay_from_its_rest(make_relay, running, recorded, publisher, wake):
    relay = make_relay({"poll": HOURLY})

    async with running(relay):
        await eventually(lambda: relay._idle_turns)
        await recorded()
        wake.set()
        await eventually(lambda: publisher.ids)


@on_sqlite
async def test_without_a_wake_up_the_relay_polls(make_relay, running, recorded, publisher):
    async with running(make_relay()):
        ids = await recorded()
        await eventually(lambda: publisher.ids == ids, within=2.0)


async def test_events_of_one_user_are_published_in_their_order(make_relay, running, recorded, publisher, all_published):
    ids = await recorded(*(ANN for _ in range(30)))

    async with running(make_relay({"batch_size": 7})):
        await eventually(all_published)

    assert publisher.ids == ids


@on_sqlite
@pytest.mark.parametrize("fate", [Fate.UNROUTABLE, Fate.FORBIDDEN, Fate.INVALID])
async def test_what_cannot_succeed_is_parked_with_its_reason(make_relay, running, recorded, publisher, rows, fate):
    (event_id,) = await recorded()
    publisher.fates[event_id] = fate

    async with running(make_relay()):
        (row,) = await eventually(lambda: after(rows, status="parked"))

    assert (row.parked_reason, row.attempts) == (str(fate), 1)


async def test_a_parked_message_holds_back_its_own_user_only(make_relay, running, recorded, publisher, statuses):
    parked, behind, bobs, bobs_next = await recorded(ANN, ANN, BOB, BOB)
    publisher.fates[parked] = Fate.UNROUTABLE

    async with running(make_relay()):
        await eventually(lambda: {bobs, bobs_next} <= set(publisher.ids))

    assert behind not in publisher.ids
    assert await statuses() == ["parked", "pending", "published", "published"]


async def test_a_released_message_is_published_before_what_waited_for_it(
    make_relay, running, recorded, publisher, outbox, all_published
):
    parked, behind = await recorded(ANN, ANN)
    publisher.fates[parked] = Fate.UNROUTABLE

    async with running(make_relay()):
        await eventually(lambda: publisher.ids == [parked])
        publisher.fates.clear()
        await eventually(lambda: outbox.release_parked(parked))
        await eventually(all_published)

    assert publisher.ids == [parked, parked, behind]


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.UNKNOWN])
async def test_what_may_succeed_later_is_published_again(make_relay, running, recorded, publisher, rows, fate):
    (event_id,) = await recorded()
    publisher.fates[event_id] = fate

    async with running(make_relay()):
        (row,) = await eventually(lambda: after(rows, attempts=1))
        publisher.fates.clear()
        await eventually(lambda: after(rows, status="published"))

    assert (row.status, row.last_error) == ("pending", f"{fate}: as told")
    assert publisher.ids == [event_id, event_id]


async def test_a_broker_that_is_away_changes_nothing_and_is_waited_for(make_relay, running, recorded, publisher, rows):
    await recorded(ANN)
    publisher.away = True
    relay = make_relay()

    async with running(relay):
        reason = await eventually(lambda: relay.interrupted_by)
        (row,) = await rows()
        publisher.away = False
        await eventually(lambda: publisher.ids)

    assert reason == "localhost:5672: refused"
    assert (row.status, row.attempts, row.last_error) == ("pending", 0, None)


@on_sqlite
async def test_an_outage_is_logged_when_it_begins_and_when_it_ends(make_relay, running, recorded, publisher):
    await recorded()
    publisher.away = True
    relay = make_relay()

    with capture_logs() as lines:
        async with running(relay):
            await eventually(lambda: relay._trouble._failures > 5)
            publisher.away = False
            await eventually(lambda: not relay.interrupted_by)

    names = [line["event"] for line in lines]
    assert (names.count("relay.interrupted"), names.count("relay.resumed")) == (1, 1)


@on_sqlite
async def test_nothing_is_claimed_while_the_broker_blocks_publishers(make_relay, running, recorded, publisher):
    publisher.blocked = True
    relay = make_relay()

    async with running(relay):
        await recorded()
        await eventually(lambda: relay.interrupted_by)
        before = publisher.ids
        publisher.blocked = False
        await eventually(lambda: publisher.ids, within=3.0)

    assert before == []


async def test_a_database_that_is_away_does_not_end_the_relay(make_relay, running, recorded, publisher, engine):
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    relay = make_relay()

    async with running(relay):
        await eventually(lambda: relay.interrupted_by)
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
        ids = await recorded()
        await eventually(lambda: publisher.ids == ids, within=5.0)


async def test_a_crash_after_publishing_publishes_again_and_never_loses(make_relay, running, recorded, all_published):
    ids = await recorded(ANN, BOB)
    dying = GatedPublisher()
    task = asyncio.create_task(make_relay(publisher=dying).run(asyncio.Event()))
    await dying.entered.wait()
    task.cancel()
    await asyncio.wait({task})

    successor = RecordingPublisher()
    async with running(make_relay(publisher=successor)):
        await eventually(all_published)

    assert (dying.ids, successor.ids) == (ids, ids)


async def test_a_stop_lets_the_batch_in_hand_be_marked(make_relay, recorded, all_published):
    await recorded(ANN, BOB)
    publisher, stop = GatedPublisher(), asyncio.Event()
    task = asyncio.create_task(make_relay(publisher=publisher).run(stop))
    await publisher.entered.wait()

    stop.set()
    publisher.gate.set()
    await asyncio.wait_for(task, 5)

    assert await all_published()


@on_sqlite
async def test_a_stop_ends_a_rest_at_once(make_relay):
    relay, stop = make_relay({"poll": HOURLY}), asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    await eventually(lambda: relay._idle_turns)

    stop.set()

    await asyncio.wait_for(task, 5)
    assert not relay.running


@on_sqlite
async def test_a_payload_that_nobody_could_parse_is_published(make_relay, running, recorded, publisher, engine):
    await recorded()
    async with engine.begin() as connection:
        await connection.execute(update(OutboxRow).values(payload=b"\xff\x00 not JSON"))

    async with running(make_relay()):
        await eventually(lambda: publisher.sent)

    assert publisher.sent[0].message.body == b"\xff\x00 not JSON"


@on_sqlite
async def test_each_batch_is_logged_by_its_outcome(make_relay, running, recorded, publisher):
    parked, refused, *_ = await recorded(*(uuid4() for _ in range(5)))
    publisher.fates |= {parked: Fate.UNROUTABLE, refused: Fate.REFUSED}

    with capture_logs() as lines:
        async with running(make_relay()):
            await eventually(lambda: publisher.ids)

    by_name = {line["event"]: line for line in lines if line["event"].startswith("outbox.")}
    assert by_name["outbox.published"]["count"] == 3
    assert (by_name["outbox.parked"]["id"], by_name["outbox.parked"]["reason"]) == (parked, "unroutable")
    assert by_name["outbox.postponed"]["count"] == 1


@on_sqlite
async def test_every_message_is_counted_by_what_became_of_it(make_relay, running, recorded, publisher):
    registry = CollectorRegistry()
    (parked, *_) = await recorded(*(uuid4() for _ in range(3)))
    publisher.fates[parked] = Fate.UNROUTABLE

    async with running(make_relay(metrics=Metrics(registry))):
        await eventually(lambda: registry.get_sample_value("tidings_publish_total", {"result": "confirmed"}) == 2)

    assert registry.get_sample_value("tidings_publish_total", {"result": "unroutable"}) == 1


@on_sqlite
async def test_what_was_published_long_ago_is_purged_by_the_way(make_relay, running, recorded, engine, rows):
    old, new = await recorded(ANN, BOB)
    long_ago = {"status": Status.PUBLISHED, "published_at": datetime.now(UTC) - timedelta(days=8)}
    async with engine.begin() as connection:
        await connection.execute(update(OutboxRow).where(OutboxRow.id == old).values(long_ago))

    async def only_the_new_one():
        return [row.id for row in await rows()] == [new]

    async with running(make_relay(retention=timedelta(days=7))):
        await eventually(only_the_new_one)


@on_postgres
async def test_several_relays_publish_once_and_keep_every_order(make_relay, running, recorded, all_published):
    dice, users = Random(7), [uuid4() for _ in range(40)]  # noqa: S311 - a test's choice
    order = defaultdict(list)
    for _ in range(20):
        chosen = [dice.choice(users) for _ in range(30)]
        for user, event_id in zip(chosen, await recorded(*chosen), strict=True):
            order[user].append(event_id)
    publisher = SlowPublisher()

    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(running(make_relay({"batch_size": 25}, publisher=publisher)))
        await eventually(all_published, within=20.0)

    assert len(publisher.ids) == len(set(publisher.ids)) == 600
    for ids in order.values():
        assert [event_id for event_id in publisher.ids if event_id in set(ids)] == ids


@on_postgres
async def test_a_relay_frozen_beyond_its_time_is_succeeded_and_marks_nothing(
    make_relay, running, recorded, database_url, publisher, all_published, rows
):
    await recorded(ANN)
    engine = open_engine(database_url, deadlines=Deadlines(idle_in_transaction=0.2))
    frozen = GatedPublisher()
    relay = make_relay(publisher=frozen, claims=Claims(engine))

    async with running(relay):
        await frozen.entered.wait()
        async with running(make_relay()):
            await eventually(all_published)
            published_at = (await rows())[0].published_at
        frozen.gate.set()
        await eventually(lambda: relay.interrupted_by)
    await engine.dispose()

    assert (len(frozen.ids), len(publisher.ids)) == (1, 1)
    assert [(row.attempts, row.published_at) for row in await rows()] == [(1, published_at)]


async def after(rows, **wanted):
    """Return all rows once each of them is as wanted."""
    found = await rows()
    return (
        found if found and all(getattr(row, name) == value for row in found for name, value in wanted.items()) else None
    )


class SlowPublisher(RecordingPublisher):
    """Takes a little time, so that relays overlap."""

    async def publish(self, messages):
        receipts = await super().publish(messages)
        await asyncio.sleep(0.005)
        return receipts
