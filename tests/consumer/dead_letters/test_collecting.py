import asyncio
from contextlib import asynccontextmanager

import aiormq
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from support.builders import a_message, a_queue, a_topology, an_outgoing
from support.dead_letters import MAIL, a_collector, a_dead_message, the_letters
from support.inboxes import LingeringEngine
from support.waiting import eventually

from consumer_service.lifecycle import State
from shared.backends.rabbitmq import RabbitTransport
from shared.errors import TopologyError
from shared.topology import DEAD, RETRY_RETURN
from shared.transport import Message

GRAVE = f"{MAIL}.dead"


class MortalEngine(LingeringEngine):
    """Commits, and is killed before anybody hears of it."""

    @asynccontextmanager
    async def begin(self):
        async with self._engine.begin() as connection:
            yield connection
        raise asyncio.CancelledError


class RefusingEngine(LingeringEngine):
    """Cannot commit."""

    @asynccontextmanager
    async def begin(self):
        async with self._engine.connect() as connection:
            yield connection
        raise OperationalError("COMMIT", None, Exception("the database is away"))


def bury(transport, *messages):
    for message in messages:
        transport.put(GRAVE, message)


@pytest.mark.slow
async def test_what_stands_in_the_broker_comes_into_the_table_and_leaves_the_broker(engine, transport):
    bury(transport, *(a_dead_message() for _ in range(250)))

    assert await a_collector(engine, transport).collect_standing(MAIL) == 250

    assert len(await the_letters(engine)) == 250
    assert transport.waiting(GRAVE) == []


async def test_a_message_is_acked_only_when_its_row_is_committed(engine, transport):
    message = a_dead_message()
    bury(transport, message)

    with pytest.raises(OperationalError):
        await a_collector(RefusingEngine(engine), transport).collect_standing(MAIL)

    assert transport.waiting(GRAVE) == [message]
    assert await the_letters(engine) == []


@pytest.mark.slow
async def test_a_crash_between_commit_and_ack_leaves_one_row(engine, transport):
    bury(transport, a_dead_message())
    with pytest.raises(asyncio.CancelledError):
        await a_collector(MortalEngine(engine), transport).collect_standing(MAIL)
    assert len(transport.waiting(GRAVE)) == 1

    with capture_logs() as lines:
        await a_collector(engine, transport).collect_standing(MAIL)

    (letter,) = await the_letters(engine)
    assert (letter.deaths, transport.waiting(GRAVE)) == (1, [])
    assert [line["event"] for line in lines] == ["dead_letter.collected_before"]


async def test_nothing_to_collect_keeps_nobody_waiting(engine, transport):
    async with asyncio.timeout(5):
        assert await a_collector(engine, transport).collect_standing(MAIL) == 0


async def test_a_pass_ends_in_time_and_leaves_the_rest_for_the_next(engine, transport):
    bury(transport, *(a_dead_message() for _ in range(3)))

    assert await a_collector(engine, transport).collect_standing(MAIL, pass_seconds=0) == 0

    assert len(transport.waiting(GRAVE)) == 3


async def test_a_queue_that_does_not_exist_is_said_so(engine, transport):
    with pytest.raises(TopologyError, match=r"consumer\.unheard_of\.dead"):
        await a_collector(engine, transport).collect_standing("consumer.unheard_of")


async def test_a_log_line_says_what_died_of_what_and_quotes_no_body(engine, transport):
    message = a_dead_message()
    bury(transport, message)

    with capture_logs() as lines:
        await a_collector(engine, transport).collect_standing(MAIL)

    (line,) = lines
    assert (line["event"], line["queue"], line["message_id"]) == ("dead_letter.collected", MAIL, message.message_id)
    assert (line["type"], line["reason"], line["state"]) == ("user.created", "retries_exhausted", "waiting")
    assert "ann@example.org" not in str(line)


@pytest.fixture
async def broker(rabbitmq):
    """A real broker with the queue of one family; gives its URL."""
    url = rabbitmq.new_vhost()
    await RabbitTransport(url, name="apply").apply(a_topology(a_queue(MAIL)))
    return url


async def publish(url, *messages, exchange=DEAD.name, key=MAIL):
    async with RabbitTransport(url, name="publish").publisher() as publisher:
        receipts = await publisher.publish([an_outgoing(each, exchange=exchange, key=key) for each in messages])
    assert {receipt.fate for receipt in receipts} == {"confirmed"}


async def depth(url, queue):
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    declared = await channel.queue_declare(queue, passive=True)
    await connection.close()
    return declared.message_count


@pytest.mark.broker
async def test_a_real_broker_is_emptied_malformed_bodies_included(engine, broker):
    await publish(broker, *(a_dead_message() for _ in range(5)), Message(b"\xff\x00not json"))

    assert await a_collector(engine, RabbitTransport(broker, name="collect")).collect_standing(MAIL) == 6

    assert {letter.body for letter in await the_letters(engine)} > {b"\xff\x00not json"}
    assert await depth(broker, GRAVE) == 0


@pytest.mark.broker
async def test_a_collector_that_dies_between_commit_and_ack_on_a_real_broker_leaves_one_row(engine, broker):
    transport = RabbitTransport(broker, name="collect")
    await publish(broker, a_dead_message())
    with pytest.raises(asyncio.CancelledError):
        await a_collector(MortalEngine(engine), transport).collect_standing(MAIL)
    assert len(await the_letters(engine)) == 1

    assert await a_collector(engine, transport).collect_standing(MAIL) == 1

    (letter,) = await the_letters(engine)
    assert letter.deaths == 1
    assert await depth(broker, GRAVE) == 0


@pytest.mark.broker
async def test_what_another_program_rejects_has_a_reason_that_can_be_read(engine, broker):
    message = a_message()
    await publish(broker, message, exchange="domain.events", key="user.created")
    await rejected(broker)
    collector = a_collector(engine, RabbitTransport(broker, name="collect"))
    await eventually(lambda: collector.collect_standing(MAIL), within=20)

    (letter,) = await the_letters(engine)
    assert (letter.message_id, letter.state, letter.reason) == (message.message_id, State.WAITING, "rejected")
    assert letter.error == "another program rejected it, without saying why"


@pytest.mark.broker
async def test_what_the_broker_has_given_up_on_has_a_reason_that_can_be_read(engine, rabbitmq):
    url = rabbitmq.new_vhost()
    await declared(url, delivery_limit=1)
    await publish(url, a_message(), exchange=RETRY_RETURN.name)
    transport = RabbitTransport(url, name="consume")
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        for _ in range(2):
            await subscription.release(await subscription.take(1))
    collector = a_collector(engine, transport)
    await eventually(lambda: collector.collect_standing(MAIL), within=20)

    (letter,) = await the_letters(engine)
    assert (letter.reason, letter.fingerprint) == ("delivery_limit", "delivery_limit")
    assert letter.error == "the broker gave up: it was delivered too often and never settled"
    assert letter.last_died_at <= letter.collected_at


async def declared(url, *, delivery_limit):
    """Declare a queue as ours are, but for a delivery limit that can be reached."""
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    for name in (DEAD.name, RETRY_RETURN.name):
        await channel.exchange_declare(name, exchange_type="direct", durable=True)
    limited = {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}
    buried_by = {"x-dead-letter-exchange": DEAD.name, "x-dead-letter-routing-key": MAIL}
    await channel.queue_declare(MAIL, durable=True, arguments=limited | buried_by)
    await channel.queue_declare(GRAVE, durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_bind(MAIL, RETRY_RETURN.name, MAIL)
    await channel.queue_bind(GRAVE, DEAD.name, MAIL)
    await connection.close()


async def rejected(url):
    """Take one message as a careless program would, and reject it."""
    connection = await aiormq.connect(url)
    channel = await connection.channel()

    async def is_taken():
        taken = await channel.basic_get(MAIL)
        return taken if taken.delivery.name == "Basic.GetOk" else None

    taken = await eventually(is_taken)
    await channel.basic_reject(taken.delivery.delivery_tag, requeue=False)
    await connection.close()
