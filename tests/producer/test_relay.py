import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update
from structlog.testing import capture_logs
from support.builders import a_queue, a_topology
from support.databases import on_postgres, on_sqlite
from support.operators import ADA
from support.publishers import GatedPublisher, RecordingPublisher
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.metrics import Metrics
from producer_service.models import OutboxRow, Status
from producer_service.selection import Selection
from shared.backends.memory import MemoryTransport
from shared.transport import Fate

ANN, BOB = UUID(int=1), UUID(int=2)
HOURLY = Backoff(first=3600.0, most=3600.0)


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


@on_postgres
async def test_while_one_claim_is_published_the_next_one_is_made_ready(make_relay, running, recorded, all_published):
    publisher = GatedPublisher()
    ids = await recorded(*(uuid4() for _ in range(25)))

    async with running(make_relay({"batch_size": 10}, publisher=publisher)):
        await eventually(lambda: publisher.ids == ids[:20])
        publisher.gate.set()
        await eventually(all_published)

    assert publisher.ids == ids


@on_postgres
async def test_one_aggregate_keeps_its_order_across_claims_that_are_open_together(
    make_relay, running, recorded, all_published
):
    publisher = RecordingPublisher()
    ids = await recorded(*([ANN] * 25))

    async with running(make_relay({"batch_size": 10}, publisher=publisher)):
        await eventually(all_published)

    assert publisher.ids == ids


@on_postgres
async def test_what_is_committed_while_a_claim_is_published_does_not_wait_for_its_end(
    make_relay, running, recorded, wake
):
    publisher = GatedPublisher()
    first = await recorded(ANN)

    async with running(make_relay({"poll": HOURLY}, publisher=publisher)):
        await publisher.entered.wait()
        second = await recorded(BOB)
        wake.set()
        await eventually(lambda: publisher.ids == first + second)
        publisher.gate.set()


@on_postgres
async def test_what_waits_for_a_claim_of_its_aggregate_follows_it_without_a_rest(
    make_relay, running, recorded, wake, all_published
):
    publisher = GatedPublisher()
    relay, first = make_relay({"poll": HOURLY}, publisher=publisher), await recorded(ANN)

    async with running(relay):
        await publisher.entered.wait()
        second = await recorded(ANN)
        wake.set()
        await eventually(lambda: relay._left_out)
        before = publisher.ids
        publisher.gate.set()
        await eventually(all_published)

    assert (before, publisher.ids) == (first, first + second)


async def test_a_claim_that_found_all_there_was_is_followed_by_a_rest(make_relay, running, recorded, all_published):
    relay = make_relay({"poll": HOURLY})
    await recorded(ANN, BOB)

    async with running(relay):
        await eventually(all_published)
        await asyncio.sleep(0.05)  # In which a second look would be taken; that none is cannot be waited for.

    assert relay._idle_turns == 1


@on_sqlite
async def test_a_commit_wakes_the_relay_from_its_rest(make_relay, running, recorded, publisher, wake):
    relay = make_relay({"poll": HOURLY})

    async with running(relay):
        await eventually(lambda: relay._idle_turns)
        await recorded()
        wake.set()
        await eventually(lambda: publisher.ids)


@on_sqlite
async def test_one_commit_wakes_the_relay_once(make_relay, running, wake):
    relay = make_relay({"poll": HOURLY})

    async with running(relay):
        await eventually(lambda: relay._idle_turns)
        wake.set()
        await asyncio.sleep(0.1)

    assert relay._idle_turns == 2


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
@pytest.mark.parametrize("fate", [Fate.FORBIDDEN, Fate.INVALID])
async def test_what_cannot_succeed_is_parked_with_its_reason(make_relay, running, recorded, publisher, rows_like, fate):
    (event_id,) = await recorded()
    publisher.fates[event_id] = fate

    async with running(make_relay()):
        (row,) = await eventually(lambda: rows_like(status="parked"))

    assert (row.parked_reason, row.attempts) == (str(fate), 1)


@pytest.mark.slow
@on_sqlite
async def test_what_nobody_is_bound_for_is_parked_after_three_tries(
    make_relay, running, recorded, publisher, rows_like
):
    (event_id,) = await recorded()
    publisher.fates[event_id] = Fate.UNROUTABLE

    async with running(make_relay()):
        (row,) = await eventually(lambda: rows_like(status="parked"), within=8)

    assert (row.parked_reason, row.attempts) == ("unroutable", 3)
    assert publisher.ids == [event_id] * 3


async def test_a_parked_message_holds_back_its_own_user_only(make_relay, running, recorded, publisher, statuses):
    parked, behind, bobs, bobs_next = await recorded(ANN, ANN, BOB, BOB)
    publisher.fates[parked] = Fate.FORBIDDEN

    async with running(make_relay()):
        await eventually(lambda: {bobs, bobs_next} <= set(publisher.ids))

    assert behind not in publisher.ids
    assert await statuses() == ["parked", "pending", "published", "published"]


async def test_a_released_message_is_published_before_what_waited_for_it(
    make_relay, running, recorded, publisher, interventions, all_published
):
    parked, behind = await recorded(ANN, ANN)
    publisher.fates[parked] = Fate.FORBIDDEN

    async with running(make_relay()):
        await eventually(lambda: publisher.ids == [parked])
        publisher.fates.clear()
        chosen = Selection(status=Status.PARKED, event_id=parked)
        await eventually(lambda: interventions.release(chosen, ADA))
        await eventually(all_published)

    assert publisher.ids == [parked, parked, behind]


@pytest.mark.slow
@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.UNKNOWN])
async def test_what_may_succeed_later_is_published_again(make_relay, running, recorded, publisher, rows_like, fate):
    (event_id,) = await recorded()
    publisher.fates[event_id] = fate

    async with running(make_relay()):
        (row,) = await eventually(lambda: rows_like(attempts=1))
        publisher.fates.clear()
        await eventually(lambda: rows_like(status="published"), within=20)

    assert (row.status, row.last_error) == ("pending", f"{fate}: as told")
    assert len(publisher.ids) >= 2
    assert set(publisher.ids) == {event_id}


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
    publisher.fates |= {parked: Fate.FORBIDDEN, refused: Fate.REFUSED}

    with capture_logs() as lines:
        async with running(make_relay()):
            await eventually(lambda: publisher.ids)

    by_name = {line["event"]: line for line in lines if line["event"].startswith("outbox.")}
    assert by_name["outbox.published"]["count"] == 3
    assert (by_name["outbox.parked"]["id"], by_name["outbox.parked"]["reason"]) == (parked, "forbidden")
    assert by_name["outbox.postponed"]["count"] == 1


@on_sqlite
async def test_every_message_is_counted_by_what_became_of_it(make_relay, running, recorded, publisher):
    registry = CollectorRegistry()
    (parked, *_) = await recorded(*(uuid4() for _ in range(3)))
    publisher.fates[parked] = Fate.FORBIDDEN

    async with running(make_relay(metrics=Metrics(registry))):
        await eventually(lambda: registry.get_sample_value("tidings_publish_total", {"result": "confirmed"}) == 2)

    assert registry.get_sample_value("tidings_publish_total", {"result": "forbidden"}) == 1


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
