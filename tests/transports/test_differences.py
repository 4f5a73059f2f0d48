from dataclasses import replace

import pytest
from support.builders import a_topology
from support.live_brokers import (
    a_live_broker,
    a_policy,
    with_arguments,
    with_exchange,
    with_queue,
    without_exchange,
    without_queue,
)

from shared.backends.rabbitmq.differences import compare
from shared.backends.rabbitmq.live import LiveBinding
from shared.topology import Remedy

TOPOLOGY = a_topology()
MAIL = "consumer.mail"


@pytest.fixture
def live():
    return a_live_broker(TOPOLOGY)


def only(live):
    """The one difference there is."""
    (difference,) = compare(TOPOLOGY, live)
    return difference


def test_a_broker_that_holds_what_the_code_needs_does_not_differ(live):
    assert compare(TOPOLOGY, live) == []


def test_of_an_empty_broker_everything_is_missing_and_apply_would_create_it(live):
    empty = replace(live, exchanges={}, queues={}, bindings=frozenset())

    differences = compare(TOPOLOGY, empty)

    assert {difference.thing for difference in differences} == {
        *(f"exchange {name}" for name in live.exchanges),
        *(f"queue {name}" for name in live.queues),
    }
    assert {(difference.aspect, difference.remedy) for difference in differences} == {("existence", Remedy.APPLY)}


@pytest.mark.parametrize("name", [MAIL, f"{MAIL}.dead", "retry.30s"])
def test_a_missing_queue_is_one_difference(live, name):
    assert only(without_queue(live, name)).thing == f"queue {name}"


def test_a_missing_exchange_takes_its_bindings_with_it(live):
    differences = compare(TOPOLOGY, without_exchange(live, "dead"))

    assert [str(difference) for difference in differences] == [
        "exchange dead: existence should be present, is missing; apply creates it",
        "queue consumer.mail.dead: binding to dead by 'consumer.mail' should be present, is missing; apply creates it",
    ]


def test_a_missing_binding_is_named_with_its_exchange_and_key(live):
    lost = LiveBinding("domain.events", MAIL, "user.created")

    difference = only(replace(live, bindings=live.bindings - {lost}))

    assert (difference.aspect, difference.remedy) == ("binding to domain.events by 'user.created'", Remedy.APPLY)


def test_what_else_a_queue_is_bound_to_is_no_difference(live):
    extra = LiveBinding("domain.events", MAIL, "user.#")

    assert compare(TOPOLOGY, replace(live, bindings=live.bindings | {extra})) == []


@pytest.mark.parametrize("kind", ["classic", "stream"])
def test_a_queue_of_another_type_must_be_replaced_and_its_arguments_do_not_matter(live, kind):
    difference = only(with_queue(with_arguments(live, MAIL, overflow=None), MAIL, kind=kind))

    assert (difference.aspect, difference.wanted, difference.found) == ("x-queue-type", "quorum", kind)
    assert difference.remedy is Remedy.REPLACEMENT
    assert "declare a new queue" in difference.how


@pytest.mark.parametrize("flag", ["auto-delete", "exclusive"])
def test_a_queue_that_would_vanish_must_be_replaced(live, flag):
    difference = only(with_queue(live, MAIL, **{flag.replace("-", "_"): True}))

    assert (difference.aspect, difference.found, difference.remedy) == (flag, "true", Remedy.REPLACEMENT)


def test_a_queue_that_a_restart_would_take_must_be_replaced(live):
    assert only(with_queue(live, MAIL, durable=False)).aspect == "durable"


def test_every_argument_that_differs_is_named_with_both_values(live):
    spoiled = with_arguments(live, MAIL, delivery_limit=5, dead_letter_strategy="at-most-once")

    found = {each.aspect: (each.wanted, each.found) for each in compare(TOPOLOGY, spoiled)}

    assert found == {
        "x-delivery-limit": ("1000", "5"),
        "x-dead-letter-strategy": ("at-least-once", "at-most-once"),
    }


def test_an_argument_that_is_not_there_can_be_made_up_for_by_a_policy(live):
    bare = with_arguments(live, MAIL, delivery_limit=None)

    difference = only(bare)

    assert (difference.found, difference.remedy) == ("absent", Remedy.POLICY)
    assert '{"delivery-limit": 1000}' in difference.how
    assert compare(TOPOLOGY, replace(bare, policies=(a_policy({"delivery-limit": 1000}),))) == []


def test_a_limit_that_is_too_low_cannot_be_raised_by_a_policy(live):
    assert only(with_arguments(live, MAIL, delivery_limit=5)).remedy is Remedy.REPLACEMENT


def test_a_limit_that_is_too_high_can_be_lowered_by_a_policy(live):
    high = with_arguments(live, MAIL, delivery_limit=5000)

    assert only(high).remedy is Remedy.POLICY
    assert compare(TOPOLOGY, replace(high, policies=(a_policy({"delivery-limit": 1000}),))) == []


def test_an_argument_that_nobody_asked_for_is_a_difference(live):
    difference = only(with_arguments(live, MAIL, single_active_consumer=True))

    assert (difference.aspect, difference.wanted, difference.found) == ("x-single-active-consumer", "absent", "true")


@pytest.mark.parametrize("tuning", [{"max_length": 5}, {"quorum_initial_group_size": 3}])
def test_what_operators_may_tune_is_no_difference(live, tuning):
    assert compare(TOPOLOGY, with_arguments(live, MAIL, **tuning)) == []


def test_a_policy_that_drops_messages_is_found_though_the_argument_is_right(live):
    difference = only(replace(live, policies=(a_policy({"overflow": "drop-head"}),)))

    assert str(difference) == (
        "queue consumer.mail: overflow should be reject-publish, is drop-head by policy careless; "
        "an operator must change it: take overflow out of that policy"
    )


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ({"message-ttl": 1000}, "1000 by policy careless"),
        ({"expires": 60_000}, "60000 by policy careless"),
        ({"delivery-limit": 3}, "3 by policy careless"),
    ],
)
def test_a_policy_that_ends_messages_early_is_found(live, definition, found):
    difference = only(replace(live, policies=(a_policy(definition),)))

    assert (difference.aspect, difference.found) == (next(iter(definition)), found)
    assert difference.remedy is Remedy.OPERATOR


def test_a_policy_that_shortens_a_rung_is_found(live):
    difference = only(replace(live, policies=(a_policy({"message-ttl": 100}, pattern="^retry.5s$"),)))

    assert (difference.thing, difference.wanted) == ("queue retry.5s", "5000")


def test_a_policy_on_dead_lettering_does_nothing_because_arguments_go_before_it(live):
    assert compare(TOPOLOGY, replace(live, policies=(a_policy({"dead-letter-exchange": "elsewhere"}),))) == []


def test_dead_letters_that_a_policy_sends_on_are_found(live):
    policy = a_policy({"dead-letter-exchange": "elsewhere"}, pattern=r"\.dead$")

    difference = only(replace(live, policies=(policy,)))

    assert (difference.thing, difference.wanted) == (f"queue {MAIL}.dead", "absent")


def test_an_argument_that_is_wrong_is_shown_beside_what_a_policy_makes_of_it(live):
    spoiled = with_arguments(live, MAIL, overflow="drop-head")

    difference = only(replace(spoiled, policies=(a_policy({"overflow": "reject-publish-dlx"}),)))

    assert difference.found == "drop-head, and reject-publish-dlx by policy careless"
    assert difference.remedy is Remedy.POLICY


@pytest.mark.parametrize(
    ("changes", "aspect"),
    [
        ({"kind": "fanout"}, "type"),
        ({"durable": False}, "durable"),
        ({"auto_delete": True}, "auto-delete"),
        ({"internal": True}, "internal"),
        ({"arguments": {"alternate-exchange": "attic"}}, "alternate-exchange"),
    ],
)
def test_an_exchange_made_otherwise_must_be_replaced(live, changes, aspect):
    difference = only(with_exchange(live, "domain.events", **changes))

    assert (difference.aspect, difference.remedy) == (aspect, Remedy.REPLACEMENT)
    assert "stop relays and workers" in difference.how


def test_a_policy_that_swallows_what_no_queue_is_bound_for_is_found(live):
    policy = a_policy({"alternate-exchange": "attic"}, pattern="^domain", applies_to="exchanges")

    differences = compare(TOPOLOGY, replace(live, policies=(policy,)))

    assert {each.thing for each in differences} == {"exchange domain.events", "exchange domain.tasks"}
    assert {each.remedy for each in differences} == {Remedy.OPERATOR}
