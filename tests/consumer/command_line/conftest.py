"""A morning with dead letters in it, and the commands as processes."""

import asyncio

import pytest
from support.commands import run_consumer
from support.dead_letters import NOTIFICATION, a_letter, audited, the_letters
from support.dead_letters import a_dead_message as any_dead_message

from consumer_service.database import open_engine
from consumer_service.dead_letters.recording import record
from consumer_service.migrations import migrate
from consumer_service.queues import topology_of
from consumer_service.registry import TASKS
from shared.backends.rabbitmq import RabbitTransport
from shared.transport import Message

AWAY = "amqp://guest:canary@127.0.0.1:1/"


def a_dead_message(envelope=None, **changes):
    """Return one that died in the first task of the registry."""
    return any_dead_message(envelope, **({"task": "SendVerificationMail"} | changes))


class Morning:
    """A database with dead letters in it, and the commands."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {
            "TIDINGS_BROKER_URL": AWAY,
            "TIDINGS_DATABASE_URL": f"sqlite:///{folder}/tidings.db",
            "TIDINGS_OPERATOR": "ann",
        }

    def ask(self, work):
        """Run `work(engine)` to its end."""

        async def asked():
            engine = open_engine(self.env["TIDINGS_DATABASE_URL"])
            try:
                return await work(engine)
            finally:
                await engine.dispose()

        return asyncio.run(asked())

    def bury(self, *messages, queue="consumer.mail"):
        async def buried(engine):
            await migrate(engine)
            return [each.id for each in await record(engine, [a_letter(each, queue=queue) for each in messages])]

        return self.ask(buried)

    def run(self, *arguments, stdin=None):
        return run_consumer("dead-letters", *arguments, env=self.env, folder=self.folder, stdin=stdin)

    @property
    def letters(self):
        return self.ask(the_letters)

    @property
    def audit(self):
        return self.ask(audited)


@pytest.fixture
def morning(tmp_path):
    morning = Morning(tmp_path)
    morning.bury(
        a_dead_message(),
        a_dead_message(),
        a_dead_message(error="PermanentFailure: no such mailbox", reason="permanent_failure"),
        Message(b"{", message_id="m-1", headers={"tidings-reason": "malformed", "tidings-fingerprint": "malformed"}),
    )
    morning.bury(a_dead_message(task="NotifyOperators"), queue=NOTIFICATION)
    return morning


@pytest.fixture
def with_broker(morning, rabbitmq):
    """The same, with a broker that holds the queues of this service."""
    morning.env["TIDINGS_BROKER_URL"] = rabbitmq.new_vhost()
    asyncio.run(RabbitTransport(morning.env["TIDINGS_BROKER_URL"], name="apply").apply(topology_of(TASKS)))
    return morning
