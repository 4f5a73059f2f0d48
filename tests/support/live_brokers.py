"""What a broker would show on which a topology was applied, as values to spoil."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.backends.rabbitmq.declarations import exchanges, queues
from shared.backends.rabbitmq.live import LiveBinding, LiveBroker, LiveExchange, LivePolicy, LiveQueue
from shared.topology import Topology


def a_live_broker(topology: Topology, **changes: Any) -> LiveBroker:
    """Return a broker that holds exactly what this topology needs, with a consumer on every queue."""
    wanted = list(queues(topology))
    fields: dict[str, Any] = {
        "exchanges": {each.name: LiveExchange(each.name, each.kind) for each in exchanges(topology)},
        "queues": {
            each.name: LiveQueue(each.name, "quorum", arguments=dict(each.arguments), consumers=1) for each in wanted
        },
        "bindings": frozenset(
            LiveBinding(exchange, each.name, key) for each in wanted for exchange, key in each.bindings
        ),
    }
    return LiveBroker(**(fields | changes))


def with_queue(live: LiveBroker, name: str, **changes: Any) -> LiveBroker:
    return replace(live, queues={**live.queues, name: replace(live.queues[name], **changes)})


def with_arguments(live: LiveBroker, name: str, **changes: Any) -> LiveBroker:
    """Spoil arguments of one queue; `overflow` is `x-overflow`, and None takes it away."""
    named = {f"x-{key.replace('_', '-')}": value for key, value in changes.items()}
    arguments = {**(live.queues[name].arguments or {}), **named}
    return with_queue(live, name, arguments={key: value for key, value in arguments.items() if value is not None})


def with_exchange(live: LiveBroker, name: str, **changes: Any) -> LiveBroker:
    return replace(live, exchanges={**live.exchanges, name: replace(live.exchanges[name], **changes)})


def without_queue(live: LiveBroker, name: str) -> LiveBroker:
    """Take a queue away, with its bindings, as a broker does."""
    left = {key: value for key, value in live.queues.items() if key != name}
    return replace(live, queues=left, bindings=frozenset(each for each in live.bindings if each.queue != name))


def without_exchange(live: LiveBroker, name: str) -> LiveBroker:
    """Take an exchange away, with its bindings, as a broker does."""
    left = {key: value for key, value in live.exchanges.items() if key != name}
    return replace(live, exchanges=left, bindings=frozenset(each for each in live.bindings if each.exchange != name))


def a_policy(definition: Mapping[str, object], **changes: Any) -> LivePolicy:
    fields: dict[str, Any] = {"name": "careless", "pattern": r"^consumer\.mail$", "applies_to": "queues"}
    return LivePolicy(**(fields | {"definition": definition} | changes))
