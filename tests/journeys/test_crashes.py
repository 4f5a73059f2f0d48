"""A process dies, or a server is away, between two stations of the journey: nothing is lost, nothing is done twice."""

import asyncio
import functools
from collections.abc import Iterator

import pytest
from journeys.conftest import World, a_world
from support.brokers import find_server
from support.clients_over_http import is_published, register, status_of
from support.private_rabbit import PrivateRabbit
from support.smtp import HANG, TAKEN
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.crash]


@pytest.fixture
def own_rabbit() -> Iterator[PrivateRabbit]:
    """A broker that this test may kill; not running yet."""
    server = find_server()
    if server is None:
        pytest.skip("no rabbitmq-server here that a test could kill")
    rabbit = PrivateRabbit(server)
    yield rabbit
    rabbit.close()


@pytest.fixture
def mortal_world(services, outside, databases, own_rabbit) -> World:
    return a_world(services, outside, databases, own_rabbit.url())


async def test_with_the_broker_away_at_start_the_api_accepts_and_everything_arrives_later(mortal_world, own_rabbit):
    mortal_world.prepare()
    api, worker = mortal_world.api(), mortal_world.worker()
    await api.is_ready()

    answer = await register(api)
    assert answer.status_code == 202
    assert (await status_of(api, answer.json()["event_id"]))["status"] == "pending"
    await eventually(lambda: worker.answers("/livez"), within=30)
    assert not await worker.answers("/readyz")

    await asyncio.to_thread(own_rabbit.start)
    mortal_world.apply_topology()
    await eventually(lambda: mortal_world.smtp.mails, within=60)
    await worker.is_ready()


async def test_with_the_broker_killed_midway_the_api_accepts_and_both_sides_come_back(mortal_world, own_rabbit):
    mortal_world.prepare()
    await asyncio.to_thread(own_rabbit.start)
    mortal_world.apply_topology()
    api, worker = mortal_world.api(), mortal_world.worker()
    await api.is_ready()
    await worker.is_ready()

    own_rabbit.kill()
    answers = [await register(api, email=f"user{number}@example.org") for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    await asyncio.to_thread(own_rabbit.start)

    await eventually(lambda: len(mortal_world.smtp.mails) == 3, within=60)
    for answer in answers:
        await eventually(functools.partial(is_published, api, answer.json()["event_id"]), within=30)
    await worker.is_ready()


async def test_a_worker_killed_while_the_mail_server_thinks_loses_nothing(world):
    world.prepare()
    world.apply_topology()
    api, doomed = world.api(), world.worker()
    await api.is_ready()
    await doomed.is_ready()
    world.smtp.answer("MAIL", HANG, times=1)
    await register(api)
    await world.smtp.reached("MAIL")

    doomed.kill()
    assert not world.smtp.mails
    await world.worker().is_ready()

    await eventually(lambda: world.smtp.mails, within=60)
    assert len(world.smtp.mails) == 1


async def test_a_worker_killed_after_the_mail_was_taken_sends_it_again_under_the_same_id(world):
    world.prepare()
    world.apply_topology()
    api, doomed = world.api(), world.worker()
    await api.is_ready()
    await doomed.is_ready()
    world.smtp.answer(TAKEN, HANG, times=1)
    await register(api)
    await eventually(lambda: world.smtp.mails, within=15)

    doomed.kill()
    await world.worker().is_ready()

    await eventually(lambda: len(world.smtp.mails) == 2, within=60)
    assert len({mail["message-id"] for mail in world.smtp.mails}) == 1


async def test_an_api_killed_after_its_answer_publishes_when_it_is_back(world):
    world.prepare()
    api = await world.api(relays=False).is_ready()
    answer = await register(api)

    api.kill()
    world.apply_topology()
    await world.worker().is_ready()
    await world.relay().is_ready()

    await eventually(lambda: world.smtp.mails, within=30)
    again = await world.api(relays=False).is_ready()
    await eventually(lambda: is_published(again, answer.json()["event_id"]), within=15)


async def test_an_event_nobody_is_bound_for_is_parked_and_never_marked_published(world):
    world.prepare()
    world.apply_topology()
    await unbind(world)
    api = await world.api().is_ready()

    event = (await register(api)).json()["event_id"]

    async def parked():
        return (await status_of(api, event))["status"] == "parked"

    await eventually(parked, within=15)
    status = await status_of(api, event)
    assert (status["parked_reason"], status["published_at"], status["attempts"]) == ("unroutable", None, 3)


async def unbind(world: World) -> None:
    """Take the bindings of user.created away, as a careless operator would."""
    import aio_pika

    async with await aio_pika.connect(world.consumer_env["TIDINGS_BROKER_URL"]) as connection:
        channel = await connection.channel()
        for name in ("consumer.mail", "consumer.notification"):
            queue = await channel.get_queue(name, ensure=False)
            await queue.unbind("domain.events", "user.created")
