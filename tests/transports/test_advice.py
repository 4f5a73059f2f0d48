from dataclasses import replace

import pytest
from support.builders import a_queue, a_topology
from support.live_brokers import a_live_broker, a_policy, with_queue, without_queue

from shared.backends.rabbitmq.advice import advice_on, advice_on_version
from shared.backends.rabbitmq.live import Condition, LiveBinding

TOPOLOGY = a_topology()
FINE = Condition("4.4.0", flags={"stream_queue": "enabled"}, deprecated=(), guest=False)


@pytest.fixture
def live():
    return a_live_broker(TOPOLOGY)


def said(live, condition=FINE):
    return [str(advice) for advice in advice_on(TOPOLOGY, live, condition)]


def test_about_a_broker_that_is_well_there_is_nothing_to_say(live):
    assert said(live) == []


def test_what_a_broker_does_not_show_is_not_guessed_at(live):
    unseen = with_queue(live, "consumer.mail", consumers=None)

    assert said(unseen, Condition("4.2.1")) == [
        "feature flags: are not shown to this user; look at `rabbitmqctl list_feature_flags`"
    ]


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("3.9.29", "older than 3.10"),
        ("3.10.8", "by way of 3.13"),
        ("3.12.14", "by way of 3.13"),
        ("3.13.7", "upgraded in place"),
        ("4.3.0-rc.1", "4.3.7"),
        ("4.3.6", "4.3.7"),
    ],
)
def test_a_version_with_a_catch_is_said_to_have_it(version, word):
    (advice,) = advice_on_version(version)

    assert word in advice.text
    assert advice.thing == f"RabbitMQ {version}"


@pytest.mark.parametrize("version", ["4.0.5", "4.2.9", "4.3.7", "4.4.0", "", "unknown"])
def test_a_version_without_a_catch_is_left_in_peace(version):
    assert list(advice_on_version(version)) == []


def test_a_flag_that_dead_letters_depend_on_is_named_alone(live):
    flags = {"stream_queue": "disabled", "quorum_queue": "enabled", "later": "disabled", "other": "unavailable"}

    assert said(live, replace(FINE, flags=flags)) == [
        "feature flag stream_queue: is not enabled, and without it dead letters can be lost",
        "feature flags: not enabled, and the next upgrade may need them: later, other",
    ]


def test_deprecated_features_are_told_by_whether_the_next_version_refuses_them(live):
    refused, later = said(live, replace(FINE, deprecated=("global_qos", "amqp_address_v1")))

    assert refused.endswith("RabbitMQ 4.3 refuses it")
    assert later.endswith("a later RabbitMQ will refuse it")


def test_a_guest_who_can_log_in_is_reported(live):
    assert [line.partition(":")[0] for line in said(live, replace(FINE, guest=True))] == ["user guest"]


def test_a_queue_that_nobody_consumes_is_reported_but_dead_letters_need_no_consumer(live):
    idle = with_queue(with_queue(live, "consumer.mail", consumers=0), "consumer.mail.dead", consumers=0)

    assert said(idle) == ["queue consumer.mail: has no consumer; start a worker for it"]


def test_a_binding_that_nobody_asked_for_is_reported_and_the_default_exchange_is_not(live):
    extra = {LiveBinding("domain.events", "consumer.mail", "user.#"), LiveBinding("", "consumer.mail", "consumer.mail")}

    (advice,) = said(replace(live, bindings=live.bindings | extra))

    assert advice == "queue consumer.mail: is bound to domain.events by 'user.#' too, which nobody here asked for"


def test_a_limited_length_is_said_to_be_safe(live):
    (advice,) = said(replace(live, policies=(a_policy({"max-length": 1000}),)))

    assert advice.startswith("queue consumer.mail: policy careless sets max-length to 1000; a full queue refuses")


def test_a_policy_that_cannot_be_understood_is_named(live):
    (advice,) = said(replace(live, policies=(a_policy({}, pattern="(?|a|b)"),)))

    assert advice.startswith("policy careless: has a pattern that cannot be read here")


def test_a_queue_that_is_left_over_is_known_by_its_way_home():
    before = a_live_broker(a_topology(a_queue("consumer.mail"), a_queue("consumer.indexing")))

    lines = said(before)

    assert [line.partition(":")[0] for line in lines] == ["queue consumer.indexing", "queue consumer.indexing.dead"]


def test_about_what_is_missing_advice_is_silent_because_plan_names_it(live):
    assert said(without_queue(live, "consumer.mail")) == []
