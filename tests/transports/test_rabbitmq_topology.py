"""Planned, advised on and held, on a real broker: with its management API, and by AMQP alone."""

import pytest
from support.builders import a_topology

from shared.backends.rabbitmq.declarations import exchanges, queues
from shared.errors import TopologyError
from shared.topology import Remedy

TOPOLOGY = a_topology()
MAIL = "consumer.mail"

SAFE = {"queue_type": "quorum", "overflow": "reject-publish", "dead_letter_strategy": "at-least-once"}
WORK = SAFE | {"delivery_limit": 1000, "dead_letter_exchange": "dead", "dead_letter_routing_key": MAIL}
RUNG = SAFE | {"delivery_limit": 1_000_000, "dead_letter_exchange": "retry.return"}

pytestmark = pytest.mark.broker


@pytest.fixture(params=["seeing", "blind"])
def either(request):
    return request.getfixturevalue(request.param)


def lines(differences):
    return [str(difference) for difference in differences]


def wrong(differences):
    """Those that are not simply missing."""
    return [difference for difference in differences if difference.remedy is not Remedy.APPLY]


async def holds_nothing_but_one_queue(transport):
    missing = [each for each in await transport.plan(TOPOLOGY) if each.aspect == "existence"]
    return len(missing) == len(exchanges(TOPOLOGY)) + len(list(queues(TOPOLOGY))) - 1


async def test_on_an_empty_broker_everything_is_missing_and_apply_creates_it_once(either):
    missing = await either.plan(TOPOLOGY)

    created = await either.apply(TOPOLOGY)

    assert created == missing
    assert len(missing) == len(exchanges(TOPOLOGY)) + len(list(queues(TOPOLOGY)))
    assert {difference.remedy for difference in missing} == {Remedy.APPLY}
    assert (await either.plan(TOPOLOGY), await either.apply(TOPOLOGY)) == ([], [])


@pytest.mark.parametrize("name", [MAIL, f"{MAIL}.dead", "retry.30s"])
async def test_a_queue_that_was_deleted_is_found_and_comes_back_with_its_bindings(held, either, admin, name):
    admin.delete_queue(name)

    assert lines(await either.plan(TOPOLOGY)) == [
        f"queue {name}: existence should be present, is missing; apply creates it"
    ]
    await either.apply(TOPOLOGY)

    assert await held.plan(TOPOLOGY) == []


@pytest.mark.parametrize("name", ["domain.events", "dead", "retry.return", "retry.5s"])
async def test_an_exchange_that_was_deleted_is_found_and_comes_back_with_its_bindings(held, either, admin, name):
    admin.delete_exchange(name)

    assert f"exchange {name}: existence should be present, is missing; apply creates it" in lines(
        await either.plan(TOPOLOGY)
    )
    await either.apply(TOPOLOGY)

    assert await held.plan(TOPOLOGY) == []


async def test_a_binding_that_was_removed_is_found_and_comes_back(held, admin):
    admin.unbind("domain.events", MAIL, "user.created")

    created = await held.apply(TOPOLOGY)

    (mended,) = lines(created)
    assert mended.startswith("queue consumer.mail: binding to domain.events by 'user.created' should be present, is ")
    assert await held.plan(TOPOLOGY) == []


async def test_by_amqp_a_binding_cannot_be_seen_but_apply_makes_sure_of_it(held, blind, admin):
    admin.unbind("domain.events", MAIL, "user.created")

    assert await blind.plan(TOPOLOGY) == []
    await blind.apply(TOPOLOGY)

    assert await held.plan(TOPOLOGY) == []


async def test_a_queue_made_otherwise_is_named_with_both_values_and_nothing_is_created(either, admin):
    admin.declare_queue(MAIL, **WORK | {"delivery_limit": 5})

    (found,) = wrong(await either.plan(TOPOLOGY))
    with pytest.raises(TopologyError, match=f"nothing was created, because\nqueue {MAIL}: x-delivery-limit should be"):
        await either.apply(TOPOLOGY)

    assert (found.thing, found.aspect, found.wanted, found.found) == (f"queue {MAIL}", "x-delivery-limit", "1000", "5")
    assert found.remedy is Remedy.REPLACEMENT
    assert await holds_nothing_but_one_queue(either)


async def test_a_classic_queue_must_be_replaced(either, admin):
    admin.declare_queue(MAIL, queue_type="classic")

    found = wrong(await either.plan(TOPOLOGY))
    with pytest.raises(TopologyError, match=f"nothing was created, because\nqueue {MAIL}: "):
        await either.apply(TOPOLOGY)

    assert [each.thing for each in found] == [f"queue {MAIL}"]
    assert await holds_nothing_but_one_queue(either)


async def test_with_the_management_api_the_type_is_named_as_what_is_wrong(seeing, admin):
    admin.declare_queue(MAIL, queue_type="classic")

    (found,) = wrong(await seeing.plan(TOPOLOGY))

    assert (found.aspect, found.wanted, found.found) == ("x-queue-type", "quorum", "classic")


async def test_with_the_management_api_every_wrong_argument_is_named(seeing, admin):
    admin.declare_queue(MAIL, **WORK | {"delivery_limit": 5, "overflow": "drop-head", "dead_letter_exchange": "attic"})

    found = {each.aspect for each in wrong(await seeing.plan(TOPOLOGY))}

    assert found == {"x-delivery-limit", "x-overflow", "x-dead-letter-exchange"}


async def test_a_rung_of_another_length_is_named_with_both_values(either, admin):
    admin.declare_queue("retry.1s", **RUNG | {"message_ttl": 77})

    (found,) = wrong(await either.plan(TOPOLOGY))

    assert (found.thing, found.aspect, found.wanted, found.found) == ("queue retry.1s", "x-message-ttl", "1000", "77")


async def test_an_exchange_of_another_kind_is_named_with_both_values(either, admin):
    admin.declare_exchange("domain.events", "fanout")

    (found,) = wrong(await either.plan(TOPOLOGY))

    assert (found.thing, found.aspect, found.wanted, found.found) == (
        "exchange domain.events", "type", "topic", "fanout",
    )  # fmt: skip
    assert found.remedy is Remedy.REPLACEMENT


async def test_a_missing_limit_is_made_up_for_by_a_policy_and_apply_leaves_that_queue_alone(seeing, admin):
    admin.declare_queue(f"{MAIL}.dead", queue_type="quorum", overflow="reject-publish")
    (before,) = wrong(await seeing.plan(TOPOLOGY))

    admin.set_policy("limit", r"^consumer\.mail\.dead$", {"delivery-limit": 1_000_000})
    await seeing.apply(TOPOLOGY)

    assert (before.aspect, before.found, before.remedy) == ("x-delivery-limit", "absent", Remedy.POLICY)
    assert await seeing.plan(TOPOLOGY) == []


@pytest.mark.parametrize("operator", [False, True])
async def test_a_policy_that_drops_messages_is_an_operators_to_change(held, admin, operator):
    lay = admin.set_operator_policy if operator else admin.set_policy
    lay("careless", r"^consumer\.mail$", {"overflow": "drop-head", "max-length": 5} if not operator else {"expires": 9})

    (found,) = await held.plan(TOPOLOGY)

    assert found.remedy is Remedy.OPERATOR
    assert found.found == ("9 by policy careless" if operator else "drop-head by policy careless")
    assert await held.apply(TOPOLOGY) == []


async def test_a_policy_that_ends_messages_early_is_found(held, admin):
    admin.set_policy("short", "^retry", {"message-ttl": 2000})

    differences = await held.plan(TOPOLOGY)

    assert {each.aspect for each in differences} == {"message-ttl"}
    assert "queue retry.1s" not in {each.thing for each in differences}


async def test_a_policy_that_swallows_the_unroutable_is_found(held, admin):
    admin.set_policy("attic", "^domain", {"alternate-exchange": "attic"}, applies_to="exchanges")

    assert {each.thing for each in await held.plan(TOPOLOGY)} == {"exchange domain.events", "exchange domain.tasks"}
