import re

from support.builders import a_topology

from shared.backends.rabbitmq.declarations import exchanges, queues

TOPOLOGY = a_topology()
REFUSED_BY_NEWER_BROKERS = {
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-ha-policy",
    "x-max-priority",
}


def test_every_queue_says_what_keeps_messages_safe():
    for queue in queues(TOPOLOGY):
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-overflow"] == "reject-publish"
        assert queue.arguments["x-delivery-limit"] > 0
        assert not REFUSED_BY_NEWER_BROKERS & queue.arguments.keys()


def test_whatever_dead_letters_does_so_at_least_once_and_into_an_exchange_that_exists():
    known = {exchange.name for exchange in exchanges(TOPOLOGY)}

    for queue in queues(TOPOLOGY):
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-dead-letter-exchange"] in known


def test_names_need_no_quoting_in_a_shell_or_a_pattern():
    assert all(re.fullmatch(r"[a-z0-9._]+", queue.name) for queue in queues(TOPOLOGY))
