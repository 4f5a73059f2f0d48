"""A message of an old version, all the way: from the exchange through the queue that is bound to it to the task."""

import json
from typing import ClassVar

import pytest
from support.builders import a_message
from support.databases import on_postgres
from support.foreign import Raw, publish_raw
from support.inboxes import statuses
from support.peeking import depths, header, peek
from support.repository import ROOT
from support.tasks import QUICK, RecordingTask
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.inbox import Inbox
from consumer_service.outcome import TemporaryFailure
from consumer_service.queues import topology_of
from consumer_service.task import Context, Task
from consumer_service.upcasters import Upcaster
from shared.backends.rabbitmq import RabbitTransport
from shared.envelope import STRUCTURED
from shared.events import Event

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


RELEASED = (ROOT / "contracts" / "released" / "user.created" / "1.0.message.json").read_bytes()
"""What the first release wrote, byte for byte."""

OLD_KEY = "user.created"


class PersonCreated(Event):
    """What is read today: the language is a language, and a name is there."""

    wire_type: ClassVar[str] = "user.created.v2"

    user_id: str
    email: str
    called: str
    language: str

    @property
    def subject(self) -> str:
        return self.user_id


class Greet(Task[PersonCreated]):
    queue: ClassVar[str] = "mail"

    def __init__(self) -> None:
        self.greeted: list[tuple[str, PersonCreated]] = []

    async def run(self, message: PersonCreated, context: Context) -> None:
        self.greeted.append((context.envelope.id, message))


def brought_up(data):
    return {**data, "called": data["name"], "language": data["locale"]}


TO_V2 = (Upcaster("user.created", "user.created.v2", brought_up),)


@pytest.fixture
def greeting(rabbitmq, engine, consuming):
    """A consumer of a real broker whose one task reads the second version."""
    url = rabbitmq.new_vhost()
    transport = RabbitTransport(url, name="upcasts")

    async def greeting(task):
        await transport.apply(topology_of([Greet], TO_V2))
        return url, consuming(engine, transport)(task, inbox=Inbox(engine, worker="this"), upcasters=TO_V2)

    return greeting


def as_published(**changes):
    body = json.loads(RELEASED) | changes
    return Raw(json.dumps(body).encode(), {"content_type": STRUCTURED, "message_id": body["id"]})


@on_postgres
@pytest.mark.broker
async def test_on_a_broker_a_message_of_the_first_release_reaches_the_task_as_the_second_version(greeting, engine):
    task = Greet()
    url, consumer = await greeting(task)
    recorded = json.loads(RELEASED)

    async with consumer:
        await publish_raw(url, [Raw(RELEASED, {"content_type": STRUCTURED})], exchange="domain.events", key=OLD_KEY)
        await eventually(lambda: task.greeted, within=20)

    (message_id, message), data = task.greeted[0], recorded["data"]
    assert (message_id, len(task.greeted)) == (recorded["id"], 1)
    assert (message.user_id, message.called, message.language) == (data["user_id"], data["name"], data["locale"])
    assert await statuses(engine) == {recorded["id"]: "done"}
    assert await depths(url, ["consumer.mail", "consumer.mail.dead"]) == {"consumer.mail": 0, "consumer.mail.dead": 0}


@on_postgres
@pytest.mark.broker
@pytest.mark.parametrize(
    ("changes", "reason", "error"),
    [
        ({"type": "user.created.v3"}, "unsupported_version", "'user.created.v3' is not among ['user.created.v2']"),
        ({"type": "user.invented"}, "unknown_type", "'user.invented' is not among ['user.created.v2']"),
        ({"data": {"user_id": "1"}}, "upcast_failed", "user.created to user.created.v2: KeyError"),
        ({"data": {"name": "Ann", "locale": "en"}}, "invalid", "data.user_id: Field required"),
    ],
    ids=["a version that is newer", "an unknown type", "a misfit for the upcaster", "a misfit for the contract"],
)
async def test_on_a_broker_what_cannot_be_brought_up_is_a_dead_letter_that_says_why(greeting, changes, reason, error):
    task = Greet()
    url, consumer = await greeting(task)
    message = as_published(**changes)

    async with consumer:
        await publish_raw(url, [message], exchange="domain.events", key=OLD_KEY)
        (dead,) = await eventually(lambda: peek(url, "consumer.mail.dead"), within=20)

    assert (header(dead, "tidings-reason"), header(dead, "tidings-error")) == (reason, error)
    assert (dead.body, dead.message_id, task.greeted) == (message.body, json.loads(message.body)["id"], [])
