"""The whole pair, as the broker's users that we deploy: the services may configure nothing, and need not."""

import json
import re

import pytest
from journeys.conftest import a_world
from support.clients_over_http import is_published, register
from support.least_privilege import import_users
from support.repository import read
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture
def definitions():
    return json.loads(read("deploy/rabbitmq/definitions.json"))


@pytest.fixture
def url_of(rabbitmq, definitions):
    return import_users(rabbitmq, definitions)


@pytest.fixture
def world(services, outside, databases, url_of):
    world = a_world(services, outside, databases, url_of("consumer"))
    world.producer_env["TIDINGS_BROKER_URL"] = url_of("producer")
    return world


@pytest.fixture
def topology(services, rabbitmq, url_of):
    """Run a topology command as the user that may."""

    def topology(command, user="topology"):
        env = {"TIDINGS_BROKER_URL": url_of(user), "TIDINGS_MANAGEMENT_URL": rabbitmq.management_url}
        service = services.start("consumer_service", "topology", command, env=env)
        return service.process.wait(60), service.said

    return topology


def test_no_service_has_the_right_to_configure_anything(definitions):
    rights = {each["user"]: each["configure"] for each in definitions["permissions"]}

    assert rights["producer"] == rights["consumer"] == "^$"


@pytest.mark.long
async def test_mails_retries_and_dead_letters_need_no_right_to_configure(world, topology):
    world.prepare()
    assert topology("apply")[0] == 0
    api, relay, worker = world.api(relays=False), world.relay(), world.worker()
    for service in (api, relay, worker):
        await service.is_ready()
    world.smtp.answer("MAIL", "451 4.3.0 come back later", times=1)
    world.webhook.answer(400)

    answer = await register(api)

    await eventually(lambda: is_published(api, answer.json()["event_id"]), within=20)
    await eventually(lambda: "delivery.retried" in worker.said and "delivery.dead_lettered" in worker.said, within=20)
    await eventually(lambda: world.smtp.mails, within=60)
    assert "REFUSED" not in worker.said + relay.said + api.said
    assert topology("verify")[0] == 0


async def test_a_service_that_tried_to_configure_would_be_refused(topology):
    code, said = topology("apply", user="consumer")

    assert code == 1
    assert re.search("is refused|ACCESS_REFUSED|access", said)
