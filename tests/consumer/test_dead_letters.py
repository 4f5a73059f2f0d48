import asyncio

import pytest
from support.builders import a_message, a_queue, a_topology
from support.tasks import AtMostOnceTask, RecordingTask
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.dead_letters import replay
from consumer_service.dispatch import REPLAYS
from consumer_service.outcome import PermanentFailure
from shared.errors import MoveNotConfirmed, TopologyError
from shared.transport import ATTEMPT

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"
NOTES = {ATTEMPT: 3, "tidings-reason": "retries_exhausted", "tidings-error": "busy"}


class ForgetfulTransport(WatchedTransport):
    """Confirms nothing but what goes to a domain exchange."""

    def route(self, outgoing):
        return super().route(outgoing) if outgoing.exchange.startswith("domain.") else []


def buried(transport, *messages):
    for message in messages:
        transport.put(DEAD, message)
    return messages


async def test_dead_letters_go_back_to_the_queue_where_they_died_and_to_no_other(transport):
    messages = buried(transport, a_message(), a_message())

    assert await replay(transport, MAIL, most=2) == 2

    assert [message.message_id for message in transport.waiting(MAIL)] == [each.message_id for each in messages]
    assert (transport.waiting(DEAD), transport.waiting("consumer.notification")) == ([], [])


async def test_a_replayed_message_starts_over_without_the_notes_of_its_death(transport):
    buried(transport, a_message(headers={**NOTES, "trace": "kept"}))

    await replay(transport, MAIL, most=1)

    (message,) = transport.waiting(MAIL)
    assert message.headers == {"trace": "kept", ATTEMPT: 1, REPLAYS: 1}


async def test_replays_are_counted(transport):
    buried(transport, a_message(headers={REPLAYS: 1}))

    await replay(transport, MAIL, most=1)

    assert transport.waiting(MAIL)[0].headers[REPLAYS] == 2


async def test_no_more_go_than_were_asked_for_the_oldest_first(transport):
    messages = buried(transport, *(a_message() for _ in range(5)))

    assert await replay(transport, MAIL, most=2) == 2

    assert transport.waiting(DEAD) == list(messages[2:])


async def test_those_not_wanted_stay_where_they_are_in_their_order(transport):
    busy, broken, busy_too = buried(transport, *(a_message(headers={"why": why}) for why in ("busy", "broken", "busy")))

    replayed = await replay(transport, MAIL, most=3, wanted=lambda message: message.headers["why"] == "broken")

    assert replayed == 1
    assert transport.waiting(DEAD) == [busy, busy_too]
    assert transport.waiting(MAIL)[0].message_id == broken.message_id


@pytest.mark.slow
async def test_an_empty_grave_gives_nothing_back_and_keeps_nobody_waiting(transport):
    async with asyncio.timeout(5):
        assert await replay(transport, MAIL) == 0


async def test_a_copy_that_is_not_confirmed_leaves_the_dead_letter_where_it_was():
    transport = ForgetfulTransport()
    await transport.apply(a_topology(a_queue(MAIL)))
    (message,) = buried(transport, a_message())

    with pytest.raises(MoveNotConfirmed, match=f"{DEAD} to {MAIL}: unroutable"):
        await replay(transport, MAIL, most=1)

    assert transport.waiting(DEAD) == [message]


async def test_a_queue_that_does_not_exist_is_said_so(transport):
    with pytest.raises(TopologyError, match=r"consumer\.unheard_of"):
        await replay(transport, "consumer.unheard_of")


async def test_what_is_replayed_is_worked_on_again(transport, consume):
    task = RecordingTask(PermanentFailure("no mailbox"))

    async with consume(task) as consuming:
        await transport.send(a_message())
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)
        await replay(transport, MAIL, most=1)
        await eventually(lambda: len(task.contexts) == 2 and consuming.is_idle)

    assert (transport.waiting(DEAD), transport.journal[-1][0]) == ([], "acked")


async def test_what_is_replayed_after_it_was_done_is_not_done_twice(transport, consume):
    message, task = a_message(), RecordingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: task.contexts and consuming.is_idle)
        buried(transport, message)
        await replay(transport, MAIL, most=1)
        await eventually(lambda: consuming.is_idle)

    assert len(task.contexts) == 1


async def test_what_must_not_be_repeated_is_repeated_only_because_an_operator_wants_it(transport, consume):
    task = AtMostOnceTask(KeyError("name"))

    async with consume(task) as consuming:
        await transport.send(a_message())
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)
        transport.again(MAIL, transport.waiting(DEAD)[0])
        await eventually(lambda: len(transport.waiting(DEAD)) == 2 and consuming.is_idle)
        assert len(task.contexts) == 1
        await replay(transport, MAIL, most=1)
        await eventually(lambda: len(task.contexts) == 2 and consuming.is_idle)
