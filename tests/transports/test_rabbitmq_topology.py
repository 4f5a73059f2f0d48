import re

import aio_pika
import pytest
from support.builders import a_topology

from shared.backends.rabbitmq import RabbitTransport
from shared.backends.rabbitmq.declarations import exchanges, queues
from shared.errors import TopologyError

TOPOLOGY = a_topology()
REFUSED_BY_NEWER_BROKERS = {
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-ha-policy",
    "x-max-priority",
}


def test_every_queue_says_what_keeps_messages_safe():
    for queue in queues(TOPOLOGY):
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-overflow"] == "reject-publish"
        assert queue.arguments["x-delivery-limit"] > 0
        assert not REFUSED_BY_NEWER_BROKERS & queue.arguments.keys()


def test_whatever_dead_letters_does_so_at_least_once_and_into_an_exchange_that_exists():
    known = {exchange.name for exchange in exchanges(TOPOLOGY)}

    for queue in queues(TOPOLOGY):
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-dead-letter-exchange"] in known


def test_names_need_no_quoting_in_a_shell_or_a_pattern():
    assert all(re.fullmatch(r"[a-z0-9._]+", queue.name) for queue in queues(TOPOLOGY))


@pytest.mark.broker
async def test_a_difference_names_the_argument_and_both_values_and_nothing_is_changed(rabbitmq):
    url = rabbitmq.new_vhost()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        wrong = {"x-queue-type": "quorum", "x-message-ttl": 77, "x-overflow": "reject-publish"}
        await channel.declare_queue("retry.1s", durable=True, arguments=wrong)
    transport = RabbitTransport(url, name="test")

    (found,) = [each for each in await transport.plan(TOPOLOGY) if each.aspect != "existence"]

    assert found.thing == "queue retry.1s"
    assert {found.aspect: (found.wanted, found.found)} != {}
    with pytest.raises(TopologyError, match=r"queue retry\.1s: .*inequivalent arg"):
        await transport.apply(TOPOLOGY)


@pytest.mark.broker
async def test_an_exchange_of_another_kind_is_a_difference(rabbitmq):
    url = rabbitmq.new_vhost()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange("domain.events", "fanout", durable=True)

    differences = await RabbitTransport(url, name="test").plan(TOPOLOGY)

    (found,) = [each for each in differences if each.thing == "exchange domain.events"]
    assert (found.aspect, found.wanted, found.found) == ("type", "'topic'", "'fanout'")
