import asyncio
from datetime import timedelta
from random import Random

import pytest
from support.builders import a_topology, an_outgoing
from support.transports import ids
from support.waiting import eventually

from shared.backends.rabbitmq import RabbitTransport
from shared.errors import MoveNotConfirmed, SessionLost, TopologyError
from shared.topology import RUNGS
from shared.transport import ATTEMPT

pytestmark = pytest.mark.broker

MAIL = "consumer.mail"


@pytest.fixture
async def transport(rabbitmq):
    transport = RabbitTransport(rabbitmq.new_vhost(), name="test")
    await transport.apply(a_topology())
    async with transport.publisher() as publisher:
        await publisher.publish([an_outgoing()])
    return transport


def vhost(transport):
    return transport._url.rpartition("/")[2]


async def test_deleting_the_queue_ends_the_session_and_says_why(rabbitmq, transport):
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        await subscription.take(1)

        rabbitmq.ctl("delete_queue", "-p", vhost(transport), MAIL)

        with pytest.raises(SessionLost, match=r"cancelled the consumer of consumer\.mail"):
            await asyncio.wait_for(subscription.take(1), 10)


async def test_a_user_who_may_not_read_is_told_by_a_topology_error(rabbitmq, transport):
    rabbitmq.ctl("set_permissions", "-p", vhost(transport), "guest", ".*", ".*", "^$")

    with pytest.raises(TopologyError, match=MAIL):
        async with transport.subscribe(MAIL, prefetch=1):
            pass


async def test_a_missing_rung_is_replaced_by_the_next_one(rabbitmq, transport):
    rabbitmq.ctl("delete_queue", "-p", vhost(transport), "retry.1s")
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        (delivery,) = await subscription.take(1)

        rung = await subscription.retry(delivery, timedelta(seconds=1), {ATTEMPT: 2})

        (again,) = await asyncio.wait_for(subscription.take(1), 8)
        assert (rung, again.message.attempt) == ("retry.5s", 2)


async def test_without_any_rung_the_original_stays_unsettled(rabbitmq, transport):
    for rung in RUNGS:
        rabbitmq.ctl("delete_queue", "-p", vhost(transport), rung.name)
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        (delivery,) = await subscription.take(1)

        with pytest.raises(MoveNotConfirmed, match="unroutable"):
            await subscription.retry(delivery, timedelta(seconds=1), {ATTEMPT: 2})

    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        (again,) = await asyncio.wait_for(subscription.take(1), 5)
        assert (again.message.message_id, again.message.attempt) == (delivery.message.message_id, 1)


async def test_without_a_grave_the_original_stays_unsettled(rabbitmq, transport):
    rabbitmq.ctl("delete_queue", "-p", vhost(transport), f"{MAIL}.dead")
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        (delivery,) = await subscription.take(1)

        with pytest.raises(MoveNotConfirmed):
            await subscription.dead_letter(delivery, {})

        assert (await subscription.inspect()).messages == 0
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        assert len(await asyncio.wait_for(subscription.take(1), 5)) == 1


async def test_a_session_closed_by_the_broker_settles_nothing_and_everything_comes_again(rabbitmq, transport):
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        taken = await subscription.take(1)
        rabbitmq.ctl("close_all_connections", "--vhost", vhost(transport), "chaos")
        await eventually(lambda: subscription.ended)

        await subscription.ack(taken)

        assert subscription.lost == 1
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        (again,) = await asyncio.wait_for(subscription.take(1), 5)
        assert again.redelivered


async def test_what_is_released_while_a_crowd_is_acked_is_not_acked_with_it(transport):
    async with transport.publisher() as publisher:
        await publisher.publish([an_outgoing() for _ in range(599)])
    async with transport.subscribe(MAIL, prefetch=600) as subscription:
        taken = await all_of(subscription, 600)
        given_back, settling, draw = taken[::10], [], Random(1)  # noqa: S311 - shuffles, keeps no secret
        draw.shuffle(taken)

        # Each for itself, as those are whose copies are confirmed; some begin while others wait to write.
        for delivery in taken:
            settle = subscription.release if delivery in given_back else subscription.ack
            settling.append(asyncio.create_task(settle([delivery])))
            if draw.random() < 0.1:
                await asyncio.sleep(0)
        await asyncio.gather(*settling)

        again = await all_of(subscription, len(given_back))
        assert sorted(ids(again)) == sorted(ids(given_back))
        assert (await subscription.inspect()).messages == 0


async def all_of(subscription, count):
    """Take so many."""
    taken = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            taken += await subscription.take(count)
    return taken


async def test_asking_about_a_queue_that_is_gone_says_so(rabbitmq, transport):
    async with transport.subscribe(MAIL, prefetch=1) as subscription:
        rabbitmq.ctl("delete_queue", "-p", vhost(transport), MAIL)

        with pytest.raises(SessionLost, match=MAIL):
            await subscription.inspect()
