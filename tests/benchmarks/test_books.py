import asyncio

import pytest
from benchmarks.books import (
    BooksDoNotBalance,
    count_rows,
    declare,
    fill_queue,
    prepare_consumer_database,
    ready_messages,
    wait_for_messages,
)
from benchmarks.contenders.message import as_celery, as_dramatiq, as_json, as_ours, as_taskiq, events
from benchmarks.outbox_books import fill_outbox, prepare_producer_database

from shared.backends import open_transport
from shared.envelope import EnvelopeReader
from shared.events import UserCreated

pytestmark = pytest.mark.slow


@pytest.fixture
async def broker_url(rabbitmq) -> str:
    url = rabbitmq.new_vhost()
    await declare(url)
    return url


@pytest.mark.broker
async def test_a_queue_is_filled_with_exactly_what_was_asked_for(broker_url):
    await fill_queue(broker_url, 7, as_ours)

    await wait_for_messages(broker_url, 7)
    with pytest.raises(BooksDoNotBalance, match="messages in the queue: 7, and not 6"):
        await wait_for_messages(broker_url, 6)


@pytest.mark.broker
async def test_what_a_consumer_held_and_never_acked_is_counted_as_left_over(broker_url):
    await fill_queue(broker_url, 3, as_ours)

    async with open_transport(broker_url, name="test").subscribe("consumer.bench", prefetch=10) as subscription:
        (first, *_) = await subscription.take(3)
        await subscription.ack([first])
        counting = asyncio.create_task(ready_messages(broker_url))
        counted_too_early, _ = await asyncio.wait({counting}, timeout=0.3)

    assert not counted_too_early
    assert await counting == 2


async def test_the_tables_of_tasks_and_peers_stand_beside_the_inbox(postgres_url):
    await prepare_consumer_database(postgres_url)

    assert [await count_rows(postgres_url, table) for table in ("inbox", "effects", "peer_inbox", "peer_users")] == [
        0
    ] * 4


async def test_an_outbox_is_filled_with_pending_rows_of_aggregates_of_their_own(postgres_url):
    await prepare_producer_database(postgres_url)

    await fill_outbox(postgres_url, 5)

    assert await count_rows(postgres_url, "outbox", "status = 'pending'") == 5
    assert await count_rows(postgres_url, "(SELECT DISTINCT aggregateid FROM outbox) AS aggregates") == 5


@pytest.mark.parametrize("write", [as_ours, as_json])
def test_our_worker_can_read_what_it_is_given(write):
    (event,) = events(1)

    assert EnvelopeReader([UserCreated]).read(write(event)).data == event.data


@pytest.mark.parametrize("write", [as_celery, as_taskiq, as_dramatiq])
def test_task_queues_carry_the_whole_event(write):
    (event,) = events(1)

    message = write(event)

    assert event.id.encode() in message.body
    assert event.data.email.encode() in message.body
