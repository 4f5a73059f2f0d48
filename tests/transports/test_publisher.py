import asyncio

import pytest
from support.builders import a_message, a_topology, an_outgoing
from support.faultproxy import fault_proxy
from support.waiting import eventually
from yarl import URL

from shared.backends.rabbitmq import RabbitTransport
from shared.backends.rabbitmq.publisher import RabbitPublisher
from shared.errors import BrokerUnavailable
from shared.transport import LARGEST_BODY, Fate

pytestmark = pytest.mark.broker


@pytest.fixture
async def url(rabbitmq):
    url = rabbitmq.new_vhost()
    await RabbitTransport(url, name="test").apply(a_topology())
    return url


def fates(receipts):
    return [receipt.fate for receipt in receipts]


async def test_publishing_to_a_missing_exchange_is_refused_in_the_brokers_words_and_the_next_batch_goes_through(url):
    async with RabbitTransport(url, name="test").publisher() as publisher:
        (lost,) = await publisher.publish([an_outgoing(exchange="nowhere")])
        (next_one,) = await publisher.publish([an_outgoing()])

    assert lost.fate is Fate.REFUSED
    assert "no exchange 'nowhere'" in lost.detail
    assert next_one.fate is Fate.CONFIRMED


async def test_a_forbidden_routing_key_is_told_from_its_innocent_neighbours(rabbitmq, url):
    vhost = url.rpartition("/")[2]
    rabbitmq.ctl("set_topic_permissions", "-p", vhost, "guest", "domain.events", r"^user\.created$", ".*")
    async with RabbitTransport(url, name="test").publisher() as publisher:
        await publisher.publish([an_outgoing()])

        receipts = await publisher.publish([an_outgoing(key="user.secret"), an_outgoing()])
        again = await publisher.publish([an_outgoing()])

    assert fates(receipts)[0] is Fate.FORBIDDEN
    assert fates(receipts)[1] in {Fate.UNKNOWN, Fate.CONFIRMED}
    assert fates(again) == [Fate.CONFIRMED]


async def test_a_full_queue_refuses_and_nothing_is_reported_as_published(rabbitmq, url):
    vhost = url.rpartition("/")[2]
    rabbitmq.ctl("set_policy", "-p", vhost, "small", "^consumer.mail$", '{"max-length":1}', "--apply-to", "queues")
    async with RabbitTransport(url, name="test").publisher() as publisher:
        receipts = [(await publisher.publish([an_outgoing()]))[0] for _ in range(20)]

    assert receipts[-1].fate is Fate.REFUSED


async def test_a_queue_whose_limit_was_lifted_is_published_to_again(rabbitmq, url):
    vhost = url.rpartition("/")[2]
    rabbitmq.ctl("set_policy", "-p", vhost, "small", "^consumer.mail$", '{"max-length":3}', "--apply-to", "queues")
    publisher = RabbitPublisher(url, name="test", refusal_seconds=0.5)

    async def publish():
        (receipt,) = await publisher.publish([an_outgoing()])
        return receipt.fate

    async def refused():
        return await publish() is Fate.REFUSED

    async def confirmed():
        return await publish() is Fate.CONFIRMED

    await eventually(refused)
    rabbitmq.ctl("clear_policy", "-p", vhost, "small")

    await eventually(confirmed, within=20)
    await publisher.close()


async def test_a_broker_that_refuses_to_open_the_virtual_host_is_quoted(url):
    publisher = RabbitPublisher(f"{url}-which-does-not-exist", name="test")

    with pytest.raises(BrokerUnavailable, match=r"NOT_ALLOWED - vhost .* not found"):
        await publisher.publish([an_outgoing()])


async def test_a_broker_that_is_not_there_is_unavailable_and_the_password_is_not_told():
    publisher = RabbitPublisher("amqp://user:canary@127.0.0.1:1/x", name="test")

    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1: ") as raised:
        await publisher.publish([an_outgoing()])

    assert "canary" not in str(raised.value)


async def test_a_wrong_password_is_unavailable_and_says_so(url):
    publisher = RabbitPublisher(url.replace("guest:guest", "guest:wrong"), name="test")

    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED"):
        await publisher.publish([an_outgoing()])


async def test_a_connection_closed_by_the_broker_is_replaced_by_the_next_batch(rabbitmq, url):
    async with RabbitTransport(url, name="test").publisher() as publisher:
        await publisher.publish([an_outgoing()])
        rabbitmq.ctl("close_all_connections", "--vhost", url.rpartition("/")[2], "chaos")

        receipts = [(await publisher.publish([an_outgoing()]))[0].fate for _ in range(2)]

    assert receipts[-1] is Fate.CONFIRMED


@pytest.mark.slow
async def test_those_who_wait_to_send_on_a_session_that_ended_learn_that_nothing_is_known(url):
    broker = URL(url)
    async with fault_proxy(str(broker.host), int(broker.port or 0)) as proxy:
        through = broker.with_host("127.0.0.1").with_port(proxy.port)
        publisher = RabbitPublisher(str(through), name="test", confirm_seconds=1)
        await publisher.publish([an_outgoing()])
        proxy.bytes_per_second = 1
        much = [an_outgoing(a_message(body=bytes(LARGEST_BODY))) for _ in range(80)]

        first = asyncio.create_task(publisher.publish(much))
        await asyncio.sleep(0)
        second = await publisher.publish([an_outgoing()])

        assert fates(second) == [Fate.UNKNOWN]
        assert set(fates(await first)) == {Fate.UNKNOWN}
        proxy.heal()
        assert fates(await publisher.publish([an_outgoing()])) == [Fate.CONFIRMED]
        await publisher.close()


async def test_cancelling_a_publish_is_not_swallowed(url):
    publisher = RabbitPublisher(url, name="test")
    publishing = asyncio.create_task(publisher.publish([an_outgoing() for _ in range(200)]))  # noqa: RUF006 - awaited below
    await asyncio.sleep(0)

    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert fates(await publisher.publish([an_outgoing()])) == [Fate.CONFIRMED]
    await publisher.close()
