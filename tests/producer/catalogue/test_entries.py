"""The catalogue says what the code says, read from the document alone."""

import pytest

from consumer_service.queues import by_family, lanes_of, queue_name
from consumer_service.registry import TASKS
from deploy.contracts.asyncapi import asyncapi
from deploy.contracts.schemas import CONTRACTS, example_of
from deploy.contracts.subscriptions import Consumers, registered
from producer_service.catalogue.entries import entries_of

ENTRIES = {entry.type: entry for entry in entries_of(asyncapi(CONTRACTS, registered(), version="1"))}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire_type)
def test_every_message_has_an_entry_that_says_what_its_class_says(contract):
    entry = ENTRIES[contract.wire_type]

    assert (entry.owner, entry.version, entry.meaning) == (contract.owner, 1, contract.__doc__)
    assert [field.name for field in entry.fields] == [*contract.model_fields]
    assert entry.example == entry.envelope["data"] == example_of(contract)


def test_everybody_who_listens_is_named():
    listening = {
        (wire_type, each.queue, each.task) for wire_type, entry in ENTRIES.items() for each in entry.subscribers
    }

    lanes = {family: lanes_of(members) for family, members in by_family(TASKS).items()}
    assert listening == {
        (task.takes.wire_type, queue_name(task.queue, lane), task.__name__)
        for task in TASKS
        for lane in lanes[task.queue]
    }


def test_events_and_commands_are_told_apart():
    created, send = ENTRIES["user.created"], ENTRIES["mail.send"]

    assert (created.kind, created.exchange, created.publisher) == ("event", "domain.events", "producer")
    assert (send.kind, send.exchange, send.publisher) == ("command", "domain.tasks", "any service")


def test_the_lane_of_a_message_is_named_with_the_key_that_leads_there():
    created, send = ENTRIES["user.created"], ENTRIES["mail.send"]

    assert (created.lane, created.routing_key) == ("normal", "user.created")
    assert (send.lane, send.routing_key) == ("bulk", "bulk.mail.send")


def test_a_message_that_nobody_takes_has_an_entry_all_the_same():
    entries = entries_of(asyncapi(CONTRACTS, Consumers((), ()), version="1"))

    assert len(entries) == len(CONTRACTS)
    assert not any(entry.subscribers for entry in entries)
