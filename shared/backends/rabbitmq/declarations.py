"""Which queues and arguments: the agreed topology, spelled out for RabbitMQ.

Safety is in arguments, because an application that trusts a policy loses messages when the policy is not there.
What an operator may tune (lengths, alarms) belongs in policies. Nothing here is refused by RabbitMQ 3.10 to 4.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.topology import DEAD, DOMAIN_EVENTS, DOMAIN_TASKS, RETRY_RETURN, Exchange, Queue, Rung, Topology

DELIVERY_LIMIT = 1_000
"""The net beneath our own count of attempts. High, because RabbitMQ 4.0 to 4.2 also counts every return on shutdown,
and a night of restarts must not dead-letter the innocent."""

PRACTICALLY_UNLIMITED = 1_000_000
"""-1 means unlimited from 4.0 on, but drops on the first return in 3.10 to 3.13."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One queue as RabbitMQ is told about it: its arguments, and (exchange, routing key) for each binding."""

    name: str
    arguments: dict[str, str | int]
    bindings: tuple[tuple[str, str], ...] = field(default=())


def exchanges(topology: Topology) -> tuple[Exchange, ...]:
    """Return every exchange: those everyone agrees on, and one per rung that keeps the home queue as routing key."""
    rungs = tuple(Exchange(rung.name, "fanout") for rung in topology.rungs)
    return (DOMAIN_EVENTS, DOMAIN_TASKS, DEAD, RETRY_RETURN, *rungs)


def queues(topology: Topology) -> Iterator[Declaration]:
    """Yield every queue, those that others dead-letter into first."""
    for queue in topology.queues:
        yield _dead(queue)
        yield _work(queue)
    for rung in topology.rungs:
        yield _rung(rung)


def _work(queue: Queue) -> Declaration:
    subscribed = tuple((binding.exchange.name, binding.key) for binding in queue.bindings)
    return Declaration(
        queue.name,
        _durable(DELIVERY_LIMIT) | _dead_lettering(DEAD.name) | {"x-dead-letter-routing-key": queue.name},
        (*subscribed, (RETRY_RETURN.name, queue.name)),
    )


def _dead(queue: Queue) -> Declaration:
    return Declaration(queue.dead, _durable(PRACTICALLY_UNLIMITED), ((DEAD.name, queue.name),))


def _rung(rung: Rung) -> Declaration:
    wait = {"x-message-ttl": int(rung.delay.total_seconds() * 1000)}
    arguments = _durable(PRACTICALLY_UNLIMITED) | _dead_lettering(RETRY_RETURN.name) | wait
    return Declaration(rung.name, arguments, ((rung.name, ""),))


def _durable(delivery_limit: int) -> dict[str, str | int]:
    return {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": delivery_limit}


def _dead_lettering(exchange: str) -> dict[str, str | int]:
    """At-least-once dead-lettering needs reject-publish; with drop-head it silently falls back to at-most-once."""
    return {"x-dead-letter-exchange": exchange, "x-dead-letter-strategy": "at-least-once"}
