import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from random import Random
from uuid import UUID, uuid4

from sqlalchemy import text
from structlog.testing import capture_logs
from support.databases import on_postgres, on_sqlite
from support.publishers import GatedPublisher, RecordingPublisher
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.claims import Claims
from producer_service.database import Deadlines, open_engine

ANN, BOB = UUID(int=1), UUID(int=2)
HOURLY = Backoff(first=3600.0, most=3600.0)


class SlowPublisher(RecordingPublisher):
    """Takes a little time, so that relays overlap."""

    async def publish(self, messages):
        receipts = await super().publish(messages)
        await asyncio.sleep(0.005)
        return receipts


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
    relay = make_relay({"poll": HOURLY}, publisher=frozen, claims=Claims(engine))

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
