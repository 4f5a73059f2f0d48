"""A message of an old version, all the way: from the exchange through the queue that is bound to it to the task."""

import json

from support.builders import a_message
from support.inboxes import statuses
from support.tasks import QUICK, RecordingTask
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.outcome import TemporaryFailure
from consumer_service.queues import topology_of
from consumer_service.upcasters import Upcaster

OLD = "user.born"


def renamed(data):
    return {**data, "user_id": data["person_id"]}


STEPS = (Upcaster(OLD, "user.created", renamed),)


def an_old_message(**data):
    body = json.loads(a_message().body)
    body |= {
        "type": OLD,
        "data": {**{name: value for name, value in body["data"].items() if name != "user_id"}, **data},
    }
    return a_message(body=json.dumps(body).encode(), message_id=body["id"], type=OLD)


async def a_transport():
    transport = WatchedTransport()
    await transport.apply(topology_of([RecordingTask], STEPS))
    return transport


async def test_an_old_message_is_worked_on_again_after_a_failure_and_remembered_under_its_own_id(engine, consuming):
    transport = await a_transport()
    message, task = (
        an_old_message(person_id="01890000-0000-7000-8000-00000000000a"),
        RecordingTask(TemporaryFailure("not yet")),
    )

    async with consuming(engine, transport)(task, upcasters=STEPS) as running:
        await transport.send(message, key=OLD)
        await eventually(lambda: task.runs[message.message_id] == QUICK.limit - 1 and running.is_idle)

    assert [context.envelope.type for context in task.contexts] == ["user.created", "user.created"]
    assert await statuses(engine) == {message.message_id: "done"}


async def test_an_old_message_that_cannot_be_brought_up_is_a_dead_letter_that_says_why(engine, consuming):
    transport = await a_transport()
    message, task = an_old_message(), RecordingTask()

    async with consuming(engine, transport)(task, upcasters=STEPS):
        await transport.send(message, key=OLD)
        (dead,) = await eventually(lambda: transport.waiting("consumer.mail.dead"))

    assert (dead.headers["tidings-reason"], dead.headers["tidings-error"]) == (
        "upcast_failed",
        "user.born to user.created: KeyError",
    )
    assert dead.body == message.body
    assert task.contexts == []
