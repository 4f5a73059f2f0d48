"""A broker that has lost messages gets them again from the outbox, and nobody is written to twice."""

import functools

import pytest
from support.clients_over_http import is_published, register
from support.rabbit_admin import administering
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.long]


@pytest.fixture
def republish(world):
    """Publish again what was published in the last hour; return what the command said."""

    def republish():
        arguments = ("outbox", "republish", "--since", "1h", "--why", "the queue was purged", "--yes", "--by", "ada")
        service = world.services.start("producer_service", *arguments, env=world.producer_env)
        assert service.process.wait(60) == 0, service.said
        return service.said.splitlines()[-1]

    return republish


async def test_what_was_purged_from_a_queue_is_published_again_and_done_once(world, rabbitmq, republish):
    world.prepare()
    world.apply_topology()
    api = await world.api().is_ready()
    answers = [await register(api, email=f"user{number}@example.org") for number in range(3)]
    events = [answer.json()["event_id"] for answer in answers]
    for event in events:
        await eventually(functools.partial(is_published, api, event), within=20)
    with administering(rabbitmq, world.consumer_env["TIDINGS_BROKER_URL"]) as admin:
        admin.purge("consumer.mail")

    first = republish()
    worker = await world.worker().is_ready()
    await eventually(lambda: len(world.smtp.mails) == 3, within=40)
    again = republish()

    assert first == again == "3 to be published again"
    for event in events:
        await eventually(functools.partial(is_published, api, event), within=20)
    await eventually(lambda: worker.said.count("delivery.duplicate") == 9, within=40)
    assert sorted(mail["to"] for mail in world.smtp.mails) == [f"user{number}@example.org" for number in range(3)]
