"""One suite over all transports: the delivery contract of `shared/transport.py`, sentence by sentence."""

import asyncio
from datetime import timedelta

import pytest
from support.builders import a_message, an_outgoing
from support.waiting import eventually

from shared.errors import SessionLost, TopologyError
from shared.transport import ATTEMPT, Fate

MAIL, NOTIFICATION = "consumer.mail", "consumer.notification"


async def take(subscription, count, within=5.0):
    taken = []
    async with asyncio.timeout(within):
        while len(taken) < count:
            taken += await subscription.take(count - len(taken))
    return taken


async def publish(transport, *messages, key="user.created"):
    async with transport.publisher() as publisher:
        return await publisher.publish([an_outgoing(message, key=key) for message in messages])


async def is_empty(transport, queue):
    async with transport.subscribe(queue, prefetch=1) as subscription:
        with pytest.raises(TimeoutError):
            await take(subscription, 1, within=0.3)


async def test_a_confirmed_message_reaches_every_bound_queue_byte_for_byte(applied):
    message = a_message(headers={"text": "ü", "number": 7, "yes": True})

    (receipt,) = await publish(applied, message)

    assert receipt.fate is Fate.CONFIRMED
    for queue in (MAIL, NOTIFICATION):
        async with applied.subscribe(queue, prefetch=1) as subscription:
            (delivery,) = await take(subscription, 1)
            assert (delivery.message, delivery.queue, delivery.redelivered) == (message, queue, False)


async def test_a_message_nobody_is_bound_for_is_unroutable_and_its_neighbours_are_not(applied):
    async with applied.publisher() as publisher:
        receipts = await publisher.publish([an_outgoing(), an_outgoing(key="nobody.listens"), an_outgoing()])

    assert [receipt.fate for receipt in receipts] == [Fate.CONFIRMED, Fate.UNROUTABLE, Fate.CONFIRMED]


async def test_nothing_is_published_by_publishing_nothing(applied):
    async with applied.publisher() as publisher:
        assert list(await publisher.publish([])) == []


@pytest.mark.slow
async def test_a_command_reaches_its_family_alone(applied):
    async with applied.publisher() as publisher:
        await publisher.publish([an_outgoing(exchange="domain.tasks", key="mail.send")])

    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        assert len(await take(subscription, 1)) == 1
    await is_empty(applied, NOTIFICATION)


async def test_messages_arrive_in_the_order_in_which_they_were_published(applied):
    messages = [a_message() for _ in range(300)]

    await publish(applied, *messages)

    async with applied.subscribe(MAIL, prefetch=500) as subscription:
        taken = await take(subscription, 300)
    assert [delivery.message.message_id for delivery in taken] == [message.message_id for message in messages]


async def test_what_was_acked_does_not_come_again_and_what_was_not_does(applied):
    await publish(applied, *(a_message() for _ in range(5)))
    async with applied.subscribe(MAIL, prefetch=10) as subscription:
        taken = await take(subscription, 5)
        await subscription.ack([taken[3], taken[1]])
        await subscription.ack([taken[0]])

    async with applied.subscribe(MAIL, prefetch=10) as subscription:
        again = await take(subscription, 2)

    assert [delivery.message for delivery in again] == [taken[2].message, taken[4].message]
    assert all(delivery.redelivered for delivery in again)


@pytest.mark.slow
async def test_acking_in_any_order_empties_the_queue_and_keeps_the_session(applied):
    await publish(applied, *(a_message() for _ in range(20)))
    async with applied.subscribe(MAIL, prefetch=20) as subscription:
        taken = await take(subscription, 20)
        for index in (3, 1, 2, 0, 19, 5, 4):
            await subscription.ack([taken[index]])
        await subscription.ack([taken[index] for index in (18, 7, 6, 9)])
        await subscription.ack([taken[index] for index in (8, *range(10, 18))])

        await publish(applied, a_message())
        await subscription.ack(await take(subscription, 1))
        assert not subscription.ended

    await is_empty(applied, MAIL)


@pytest.mark.slow
async def test_no_more_than_the_prefetch_is_held_at_a_time(applied):
    await publish(applied, *(a_message() for _ in range(5)))
    async with applied.subscribe(MAIL, prefetch=3) as subscription:
        held = await take(subscription, 3)
        with pytest.raises(TimeoutError):
            await take(subscription, 1, within=0.3)

        await subscription.ack(held[:1])

        assert len(await take(subscription, 1)) == 1


async def test_a_released_delivery_comes_again_at_once_marked_as_redelivered(applied):
    await publish(applied, a_message())
    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        (first,) = await take(subscription, 1)

        await subscription.release([first])

        (second,) = await take(subscription, 1)
        assert (second.message, second.redelivered) == (first.message, True)


@pytest.mark.slow
async def test_a_retried_delivery_comes_home_alone_after_its_delay_with_its_notes(applied):
    message = a_message(headers={"kept": "yes"})
    await publish(applied, message)
    async with applied.subscribe(MAIL, prefetch=1) as mail:
        (first,) = await take(mail, 1)

        rung = await mail.retry(first, timedelta(seconds=1), {ATTEMPT: 2, "tidings-error": "tried"})

        assert rung
        with pytest.raises(TimeoutError):
            await take(mail, 1, within=0.5)
        (second,) = await take(mail, 1)
        assert second.message.body == message.body
        assert second.message.message_id == message.message_id
        assert second.message.headers == {"kept": "yes", ATTEMPT: 2, "tidings-error": "tried"}
        assert second.message.attempt == 2
    async with applied.subscribe(NOTIFICATION, prefetch=5) as notification:
        assert len(await take(notification, 1)) == 1
        with pytest.raises(TimeoutError):
            await take(notification, 1, within=0.3)


@pytest.mark.slow
async def test_a_delivery_can_be_retried_again_and_again(applied):
    await publish(applied, a_message())
    async with applied.subscribe(MAIL, prefetch=1) as mail:
        for attempt in (2, 3, 4):
            (delivery,) = await take(mail, 1)
            await mail.retry(delivery, timedelta(seconds=1), {ATTEMPT: attempt})

        (last,) = await take(mail, 1)

    assert last.message.attempt == 4


@pytest.mark.slow
async def test_a_dead_letter_waits_beside_its_queue_with_its_notes(applied):
    message = a_message(body=b"not even json")
    await publish(applied, message)
    async with applied.subscribe(MAIL, prefetch=1) as mail:
        (delivery,) = await take(mail, 1)

        await mail.dead_letter(delivery, {"tidings-reason": "malformed"})

    async with applied.subscribe(f"{MAIL}.dead", prefetch=1) as dead:
        (grave,) = await take(dead, 1)
        assert (grave.message.body, grave.message.headers) == (message.body, {"tidings-reason": "malformed"})
    await is_empty(applied, MAIL)


async def test_two_subscribers_of_one_queue_share_its_messages(applied):
    async with applied.subscribe(MAIL, prefetch=1) as one, applied.subscribe(MAIL, prefetch=1) as other:
        await publish(applied, a_message(), a_message())

        (first,), (second,) = await asyncio.gather(take(one, 1), take(other, 1))

        assert first.message.message_id != second.message.message_id


async def test_leaving_gives_everything_unsettled_back_in_order(applied):
    messages = [a_message() for _ in range(3)]
    await publish(applied, *messages)
    async with applied.subscribe(MAIL, prefetch=5) as subscription:
        await take(subscription, 3)

    async with applied.subscribe(MAIL, prefetch=5) as subscription:
        again = await take(subscription, 3)

    assert [delivery.message for delivery in again] == messages
    assert all(delivery.redelivered for delivery in again)


async def test_settling_after_the_session_has_ended_is_dropped_and_counted(applied):
    await publish(applied, a_message())
    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        taken = await take(subscription, 1)

    await subscription.ack(taken)
    await subscription.retry(taken[0], timedelta(seconds=1), {ATTEMPT: 2})

    assert subscription.ended
    assert subscription.lost == 2
    async with applied.subscribe(MAIL, prefetch=1) as later:
        (again,) = await take(later, 1)
        assert again.message.attempt == 1


async def test_taking_from_an_ended_session_says_so(applied):
    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        waiting = asyncio.ensure_future(subscription.take(1))
        await asyncio.sleep(0)

    with pytest.raises(SessionLost):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(SessionLost):
        await subscription.take(1)


async def test_stopping_gives_back_what_was_not_taken_and_keeps_what_was(applied):
    await publish(applied, *(a_message() for _ in range(4)))
    async with applied.subscribe(MAIL, prefetch=10) as subscription:
        (held,) = await take(subscription, 1)

        await subscription.stop()

        with pytest.raises(SessionLost):
            await subscription.take(1)
        async with applied.subscribe(MAIL, prefetch=10) as other:
            assert len(await take(other, 3)) == 3
        await subscription.ack([held])
        assert subscription.lost == 0


async def test_a_queue_that_does_not_exist_is_for_an_operator_to_mend(transport):
    with pytest.raises(TopologyError, match=r"consumer\.nobody"):
        async with transport.subscribe("consumer.nobody", prefetch=1):
            pass


async def test_inspecting_tells_depth_and_consumers(applied):
    async with applied.subscribe(NOTIFICATION, prefetch=1) as subscription:
        await publish(applied, *(a_message() for _ in range(3)))

        async def shows_two_waiting():
            return await subscription.inspect() == (2 if _pushes(subscription) else 3, 1)

        await eventually(shows_two_waiting)


def _pushes(subscription):
    """A broker that pushes has handed over the prefetch before anybody took it."""
    return type(subscription).__name__ != "MemorySubscription"


async def test_applying_twice_changes_nothing_and_loses_nothing(applied, topology):
    await publish(applied, a_message())

    await applied.apply(topology)

    assert list(await applied.plan(topology)) == []
    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        assert len(await take(subscription, 1)) == 1


async def test_the_plan_for_an_empty_broker_names_every_queue(transport, topology):
    missing = {difference.thing for difference in await transport.plan(topology)}

    assert {f"queue {name}" for name in (MAIL, f"{MAIL}.dead", NOTIFICATION)} <= missing


async def test_publishing_before_any_topology_exists_confirms_nothing(transport):
    (receipt,) = await publish(transport, a_message())

    assert receipt.fate in {Fate.UNROUTABLE, Fate.REFUSED}


async def test_overlapping_batches_each_get_their_own_receipts(applied):
    async with applied.publisher() as publisher:
        batches = [[an_outgoing() for _ in range(50)] + [an_outgoing(key="nobody.listens")] for _ in range(4)]

        answers = await asyncio.gather(*(publisher.publish(batch) for batch in batches))

    for receipts in answers:
        assert [receipt.fate for receipt in receipts] == [Fate.CONFIRMED] * 50 + [Fate.UNROUTABLE]


async def test_a_large_message_survives_whole(applied):
    body = bytes(range(256)) * 1000
    await publish(applied, a_message(body=body))

    async with applied.subscribe(MAIL, prefetch=1) as subscription:
        (delivery,) = await take(subscription, 1)

    assert delivery.message.body == body


async def test_what_a_transport_declares_about_processes_is_true(transport, topology):
    other = type(transport)() if not transport.capabilities.shared_between_processes else transport
    await transport.apply(topology)

    is_shared = not await other.plan(topology)

    assert is_shared is transport.capabilities.shared_between_processes
