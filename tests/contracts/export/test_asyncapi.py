"""The AsyncAPI document: valid by the official schema, and what the broker is told besides."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from consumer_service.queues import by_family, lanes_of, queue_name, topology_of
from consumer_service.registry import TASKS
from deploy.contracts.asyncapi import asyncapi
from deploy.contracts.schemas import CONTRACTS
from deploy.contracts.subscriptions import Consumers, registered
from shared.topology import exchange_for, routing_key

OFFICIAL = json.loads((Path(__file__).parents[1] / "asyncapi" / "3.1.0.json").read_text())
DOCUMENT = asyncapi(CONTRACTS, registered(), version="1.2.3")


def references(node):
    """Yield every reference in a document."""
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        node = [*node.values()]
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def at(reference):
    found = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_it_is_valid_by_the_official_schema():
    assert [error.message for error in Draft7Validator(OFFICIAL).iter_errors(DOCUMENT)] == []


def test_the_official_schema_would_find_a_mistake():
    wrong = DOCUMENT | {"operations": {"publish": {"action": "shout", "channel": {"$ref": "#/channels/x"}}}}

    assert list(Draft7Validator(OFFICIAL).iter_errors(wrong))


def test_every_reference_leads_somewhere_in_it():
    found = list(references(DOCUMENT))

    assert all(at(reference) for reference in found)
    assert len(found) > len(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire_type)
def test_every_message_has_a_channel_an_exchange_and_somebody_who_sends_it(contract):
    exchange = exchange_for(contract)
    binding = DOCUMENT["channels"][contract.wire_type]["bindings"]["amqp"]["exchange"]

    assert (binding["name"], binding["type"], binding["durable"]) == (exchange.name, exchange.kind, True)
    assert DOCUMENT["channels"][contract.wire_type]["address"] == routing_key(contract.wire_type, contract.lane)
    assert DOCUMENT["operations"][f"publish.{contract.wire_type}"]["action"] == "send"


def test_every_task_receives_its_message_from_its_queue():
    receiving = {
        (at(operation["channel"]["$ref"])["address"], operation["title"], at(at(each["$ref"])["$ref"])["name"])
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "receive"
        for each in operation["messages"]
    }

    lanes = {family: lanes_of(members) for family, members in by_family(TASKS).items()}
    assert receiving == {
        (queue_name(task.queue, lane), task.__name__, task.takes.wire_type)
        for task in TASKS
        for lane in lanes[task.queue]
    }


def test_a_queue_is_bound_as_the_broker_is_told():
    for queue in topology_of(TASKS).queues:
        bound = [(each["exchange"], each["key"]) for each in DOCUMENT["channels"][queue.name]["x-bound-to"]]
        assert bound == [(binding.exchange.name, binding.key) for binding in queue.bindings]


def test_a_queue_holds_what_its_bindings_let_in():
    assert [*DOCUMENT["channels"]["consumer.notification"]["messages"]] == ["user.created"]
    assert "mail.send" in DOCUMENT["channels"]["consumer.mail"]["messages"]


def test_a_message_that_nobody_takes_is_published_all_the_same():
    alone = asyncapi(CONTRACTS, Consumers((), ()), version="1")

    assert {operation["action"] for operation in alone["operations"].values()} == {"send"}
    assert list(Draft7Validator(OFFICIAL).iter_errors(alone)) == []


def test_it_carries_the_version_it_was_given():
    assert DOCUMENT["info"]["version"] == "1.2.3"
