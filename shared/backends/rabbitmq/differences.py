"""How what a broker holds differs from what the code needs, argument by argument. Pure: values in, values out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from shared.backends.rabbitmq.declarations import Declaration, exchanges, queues
from shared.backends.rabbitmq.live import LiveBinding, LiveBroker, LiveExchange, LiveQueue
from shared.backends.rabbitmq.policies import (
    SAFETY,
    TUNING,
    Laid,
    a_policy_reaches,
    kinds_of_queue,
    laid_over,
    result,
    settings_of,
)
from shared.topology import Difference, Exchange, Remedy, Topology

EXISTENCE = "existence"
"""The aspect of what is not there at all."""

NEW_QUEUE = (
    "declare a new queue under another name, bind it alike, start workers on it, unbind this one, "
    "let it drain, delete it when it is empty and unused"
)
NEW_EXCHANGE = "stop relays and workers (outbox and queues keep what comes), delete it, apply, start them again"


@dataclass(frozen=True, slots=True)
class Aspect:
    """One setting of a queue: as the code wants it, as the queue's own argument has it, and what a policy says."""

    key: str
    wanted: object
    argument: object
    laid: Laid | None

    @property
    def result(self) -> object:
        """The value that counts."""
        return result(self.key, self.argument, self.laid.value if self.laid else None)

    @property
    def policy(self) -> str:
        """The policy's name; empty where there is none."""
        return self.laid.policy if self.laid else ""


def compare(topology: Topology, live: LiveBroker) -> list[Difference]:
    """Return every difference: exchanges first, then queue by queue."""
    found = [difference for exchange in exchanges(topology) for difference in _exchange(exchange, live)]
    return found + [difference for queue in queues(topology) for difference in _queue(queue, live)]


def aspects(wanted: Declaration, found: LiveQueue, live: LiveBroker) -> Iterator[Aspect]:
    """Yield every setting on which the code, the queue or a policy has a word; what only tunes is left out."""
    laid = laid_over(live.policies, wanted.name, kinds_of_queue(found.kind))
    arguments = settings_of(found.arguments, found.kind)
    named = {name.removeprefix("x-") for name in wanted.arguments.keys() | arguments.keys()} - TUNING
    for key in sorted(named | (laid.keys() & SAFETY)):
        said = laid.get(key) if key in SAFETY else None
        yield Aspect(key, wanted.arguments.get(f"x-{key}"), arguments.get(f"x-{key}"), said)


def missing(thing: str) -> Difference:
    """Return the difference for what is not there at all."""
    return Difference(thing, EXISTENCE, "present", "missing", Remedy.APPLY)


def differing_argument(thing: str, key: str, wanted: object, found: object, *, note: str = "") -> Difference:
    """Return the difference for an argument with which a queue was declared; `note` is added to what was found."""
    remedy, how = Remedy.REPLACEMENT, NEW_QUEUE
    if a_policy_reaches(key, wanted, found):
        remedy, how = Remedy.POLICY, f"put {json.dumps({key: wanted})} into its policy; only one applies to a queue"
    return Difference(thing, f"x-{key}", shown(wanted), shown(found) + note, remedy, how)


def shown(value: object) -> str:
    """Return a value as an operator would write it."""
    if value is None:
        return "absent"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _exchange(wanted: Exchange, live: LiveBroker) -> Iterator[Difference]:
    thing, found = f"exchange {wanted.name}", live.exchanges.get(wanted.name)
    if found is None:
        yield missing(thing)
        return
    for aspect, want, got in _exchange_aspects(wanted, found):
        if want != got:
            yield Difference(thing, aspect, shown(want), shown(got), Remedy.REPLACEMENT, NEW_EXCHANGE)
    alternate = laid_over(live.policies, wanted.name, {"exchanges"}).get("alternate-exchange")
    if alternate is not None:
        yield _policys_fault(thing, "alternate-exchange", None, alternate)


def _exchange_aspects(wanted: Exchange, found: LiveExchange) -> Iterator[tuple[str, object, object]]:
    yield "type", wanted.kind, found.kind
    yield "durable", True, found.durable
    yield "auto-delete", False, found.auto_delete
    yield "internal", False, found.internal
    # It would swallow what no queue is bound for: the broker confirms such a message, and nobody ever gets it.
    yield "alternate-exchange", None, (found.arguments or {}).get("alternate-exchange")


def _queue(wanted: Declaration, live: LiveBroker) -> Iterator[Difference]:
    thing, found = f"queue {wanted.name}", live.queues.get(wanted.name)
    if found is None:
        yield missing(thing)
        return
    for flag, want, got in (
        ("durable", True, found.durable),
        ("auto-delete", False, found.auto_delete),
        ("exclusive", False, found.exclusive),
    ):
        if want != got:
            yield Difference(thing, flag, shown(want), shown(got), Remedy.REPLACEMENT, NEW_QUEUE)
    if found.kind != "quorum":
        yield differing_argument(thing, "queue-type", "quorum", found.kind)
        return
    for aspect in aspects(wanted, found, live):
        yield from _setting(thing, aspect)
    yield from _bindings(thing, wanted, live)


def _setting(thing: str, aspect: Aspect) -> Iterator[Difference]:
    """Yield nothing where the value that counts is the wanted one, whoever has seen to it."""
    if aspect.result == aspect.wanted:
        return
    if aspect.argument == aspect.wanted:
        yield _policys_fault(thing, aspect.key, aspect.wanted, Laid(aspect.result, aspect.policy))
        return
    note = f", and {shown(aspect.result)} by policy {aspect.policy}" if aspect.laid else ""
    yield differing_argument(thing, aspect.key, aspect.wanted, aspect.argument, note=note)


def _policys_fault(thing: str, key: str, wanted: object, laid: Laid) -> Difference:
    found = f"{shown(laid.value)} by policy {laid.policy}"
    return Difference(thing, key, shown(wanted), found, Remedy.OPERATOR, f"take {key} out of that policy")


def _bindings(thing: str, wanted: Declaration, live: LiveBroker) -> Iterator[Difference]:
    for exchange, key in wanted.bindings:
        if LiveBinding(exchange, wanted.name, key) not in live.bindings:
            yield Difference(thing, f"binding to {exchange} by {key!r}", "present", "missing", Remedy.APPLY)
