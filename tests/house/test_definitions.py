"""The broker's users may do what the code does, and nothing else."""

import base64
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.builders import an_outgoing
from support.least_privilege import import_users
from support.rabbit import Rabbit
from support.repository import read

from consumer_service.queues import topology_of
from consumer_service.registry import TASKS
from deploy.rabbitmq.passwords import salted_hash
from shared.backends.rabbitmq import RabbitTransport
from shared.backends.rabbitmq.declarations import exchanges, queues
from shared.errors import TopologyError
from shared.topology import DEAD, DOMAIN_EVENTS, RETRY_RETURN
from shared.transport import Fate, Outgoing

TOPOLOGY = topology_of(TASKS)
MAIL = "consumer.mail"
UNPRIVILEGED = ("producer", "consumer", "collector", "replayer", "topology")
GRAVES = {queue.dead for queue in TOPOLOGY.queues}

As = Callable[[str], RabbitTransport]
"""Gives the transport of one of the users."""


def salt_of(stored: str) -> bytes:
    return base64.b64decode(stored)[:4]


@pytest.fixture(scope="module")
def definitions() -> Any:
    return json.loads(read("deploy/rabbitmq/definitions.json"))


@pytest.fixture(scope="module")
def rights(definitions: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {permission["user"]: permission for permission in definitions["permissions"]}


def may(rights: dict[str, dict[str, str]], user: str, right: str) -> set[str]:
    """Return the names, among all that the code declares, on which a user has a right."""
    names = {exchange.name for exchange in exchanges(TOPOLOGY)} | {queue.name for queue in queues(TOPOLOGY)}
    return {name for name in names if re.search(rights[user][right], name)}


def test_every_pattern_is_anchored_or_would_match_inside_a_name(rights):
    patterns = [
        rights[user][right] for user in rights for right in ("configure", "write", "read") if user != "operator"
    ]

    assert patterns
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)


def test_only_the_operator_administers_the_topology_user_looks_and_there_is_no_guest(definitions):
    tags = {user["name"]: user["tags"] for user in definitions["users"]}

    expected = {name: [] for name in UNPRIVILEGED} | {"topology": ["management"], "operator": ["administrator"]}
    assert tags == expected


def test_the_producer_writes_to_the_domain_exchanges_and_that_is_all(rights):
    assert may(rights, "producer", "write") == {"domain.events", "domain.tasks"}
    assert may(rights, "producer", "configure") == may(rights, "producer", "read") == set()


def test_the_consumer_reads_its_queues_and_writes_where_deliveries_are_moved_to(rights):
    mine = {queue.name for queue in TOPOLOGY.queues}
    ways_out = {DEAD.name, RETRY_RETURN.name, *(rung.name for rung in TOPOLOGY.rungs)}

    assert may(rights, "consumer", "read") == mine
    assert may(rights, "consumer", "write") == ways_out
    assert may(rights, "consumer", "configure") == set()


def test_the_collector_reads_dead_letters_and_does_nothing_else(rights):
    assert may(rights, "collector", "read") == GRAVES
    assert may(rights, "collector", "write") == may(rights, "collector", "configure") == set()


def test_the_replayer_reads_dead_letters_and_sends_them_home_by_one_exchange(rights):
    assert may(rights, "replayer", "read") == GRAVES
    assert may(rights, "replayer", "write") == {RETRY_RETURN.name}
    assert may(rights, "replayer", "configure") == set()


def test_the_topology_user_may_configure_all_that_the_code_declares_and_nothing_foreign(rights):
    everything = {exchange.name for exchange in exchanges(TOPOLOGY)} | {queue.name for queue in queues(TOPOLOGY)}

    assert may(rights, "topology", "configure") == everything
    assert not re.search(rights["topology"]["configure"], "amq.default")


def test_the_passwords_in_the_compose_file_are_those_of_the_users(definitions):
    stored = {user["name"]: user["password_hash"] for user in definitions["users"]}

    given = dict(re.findall(r"amqp://(\w+):\$\{\w+:-([\w-]+)\}@", read("docker-compose.yml")))

    assert set(given) == set(UNPRIVILEGED)
    assert all(stored[name] == salted_hash(password, salt_of(stored[name])) for name, password in given.items())


@pytest.fixture(scope="module")
def as_user(rabbitmq: Rabbit, definitions: dict[str, Any]) -> As:
    """A broker with these users, in a virtual host of its own, in which the topology user has done its work."""
    url_of = import_users(rabbitmq, definitions)
    management = {"topology": rabbitmq.management_url}
    return lambda name: RabbitTransport(url_of(name), name=name, management_url=management.get(name))


@pytest.fixture(scope="module")
async def applied(as_user: As) -> As:
    await as_user("topology").apply(TOPOLOGY)
    return as_user


@pytest.mark.broker
async def test_what_the_topology_user_applied_is_what_the_code_needs(applied):
    assert await applied("topology").plan(TOPOLOGY) == []


@pytest.mark.broker
async def test_the_producer_can_publish_events_and_nothing_into_dead_letters(applied):
    async with applied("producer").publisher() as publisher:
        (event,) = await publisher.publish([an_outgoing()])
        (forged,) = await publisher.publish([an_outgoing(exchange=DEAD.name, key=MAIL)])

    assert event.fate is Fate.CONFIRMED
    assert forged.fate is not Fate.CONFIRMED
    assert "ACCESS_REFUSED" in forged.detail


@pytest.mark.broker
async def test_the_consumer_can_do_all_a_delivery_may_need(applied):
    async with applied("producer").publisher() as publisher:
        await publisher.publish([an_outgoing()])

    async with applied("consumer").subscribe(MAIL, prefetch=10) as subscription:
        assert (await subscription.inspect()).consumers == 1
        for delivery in await subscription.take(10):
            await subscription.retry(delivery, timedelta(seconds=1), {})
        for delivery in await subscription.take(10):
            await subscription.dead_letter(delivery, {})


@pytest.mark.broker
async def test_the_replayer_can_look_at_dead_letters_and_send_them_home(applied):
    async with applied("producer").publisher() as publisher:
        await publisher.publish([an_outgoing()])
    async with applied("consumer").subscribe(MAIL, prefetch=10) as subscription:
        for delivery in await subscription.take(10):
            await subscription.dead_letter(delivery, {})

    async with (
        applied("replayer").subscribe(f"{MAIL}.dead", prefetch=10) as dead,
        applied("replayer").publisher() as publisher,
    ):
        found = await dead.take(10)
        receipts = await publisher.publish([Outgoing(RETRY_RETURN.name, MAIL, each.message) for each in found])
        state = await dead.inspect()

    assert {receipt.fate for receipt in receipts} == {Fate.CONFIRMED}
    assert state.consumers == 1


@pytest.mark.broker
async def test_the_collector_can_look_at_dead_letters_and_put_nothing_anywhere(applied):
    async with (
        applied("collector").subscribe(f"{MAIL}.dead", prefetch=1),
        applied("collector").publisher() as publisher,
    ):
        (receipt,) = await publisher.publish([an_outgoing(exchange=RETRY_RETURN.name, key=MAIL)])

    assert receipt.fate is not Fate.CONFIRMED


@pytest.mark.broker
@pytest.mark.parametrize("name", ["collector", "replayer"])
async def test_who_handles_dead_letters_cannot_read_what_is_alive(applied, name):
    with pytest.raises(TopologyError, match="access"):
        async with applied(name).subscribe(MAIL, prefetch=1):
            pass


@pytest.mark.broker
async def test_the_consumer_cannot_announce_events(applied):
    async with applied("consumer").publisher() as publisher:
        (receipt,) = await publisher.publish([an_outgoing(exchange=DOMAIN_EVENTS.name)])

    assert receipt.fate is not Fate.CONFIRMED
    assert "ACCESS_REFUSED" in receipt.detail


@pytest.mark.broker
async def test_the_producer_cannot_read_a_queue(applied):
    with pytest.raises(TopologyError, match="access"):
        async with applied("producer").subscribe(MAIL, prefetch=1):
            pass


@pytest.mark.broker
@pytest.mark.parametrize("name", ["producer", "consumer"])
async def test_a_service_cannot_declare_anything(applied, name):
    with pytest.raises(TopologyError, match="access"):
        await applied(name).apply(TOPOLOGY)
