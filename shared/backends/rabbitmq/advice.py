"""What is no difference, but worth a warning before it becomes one. Pure: values in, values out."""

import re
from collections.abc import Iterator

from shared.backends.rabbitmq.declarations import Declaration, queues
from shared.backends.rabbitmq.live import Condition, LiveBroker
from shared.backends.rabbitmq.policies import kinds_of_queue, laid_over, unreadable
from shared.topology import DEAD, RETRY_RETURN, Advice, Topology

UNSEEN = Advice(
    "management API",
    "none was named, so bindings, policies, consumers, feature flags, and all but the first wrong argument of a queue "
    "were not seen",
)

FLOOR = (3, 10)
OWN_SERIES = (4,)
LAST_STEP = (3, 13)
"""The only series 3 that can be upgraded to 4 in place."""

CANCELS_BADLY = ((4, 3), (4, 3, 7))
"""From, and fixed in: a consumer that the broker cancels stays registered and gets nothing more (4.3.7), and the worker
behind at-least-once dead-lettering gets stuck (4.3.3)."""

REFUSED_BY_4_3 = {"transient_nonexcl_queues", "global_qos", "queue_master_locator", "classic_queue_mirroring"}
"""Denied by default, or gone, from RabbitMQ 4.3 on."""

NEEDED_FLAGS = ("quorum_queue", "stream_queue")
"""Without the second, at-least-once dead-lettering silently becomes at-most-once."""

LIMITS = ("max-length", "max-length-bytes")

GUEST_ADVICE = Advice("user guest", "can log in with the password that everybody knows; delete it, or change that")


def advice_on(topology: Topology, live: LiveBroker, condition: Condition) -> list[Advice]:
    """Return all advice: on the broker first, then queue by queue, then on what nobody here asked for."""
    return [
        *advice_on_version(condition.version),
        *_on_flags(condition),
        *_on_deprecated_features(condition),
        *([GUEST_ADVICE] if condition.guest else []),
        *_on_policies(live),
        *(advice for queue in queues(topology) for advice in _on_queue(queue, live)),
        *_on_consumers(topology, live),
        *_on_strangers(topology, live),
    ]


def advice_on_version(version: str) -> Iterator[Advice]:
    """Yield what is known to be wrong with this version; nothing for one that cannot be read."""
    thing, numbers = f"RabbitMQ {version}", tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if not numbers:
        return
    if numbers < FLOOR:
        yield Advice(thing, "is older than 3.10, without which retries and dead letters are not safe")
    elif numbers < LAST_STEP:
        yield Advice(thing, "gets no more fixes, and leads to 4 only by way of 3.13, or by a new broker beside it")
    elif numbers < OWN_SERIES:
        yield Advice(thing, "gets no more fixes; it can be upgraded in place to 4.0, 4.1 or 4.2, and from 4.2 to 4.3")
    elif CANCELS_BADLY[0] <= numbers < CANCELS_BADLY[1]:
        yield Advice(thing, "handles cancelled consumers and at-least-once dead letters badly; 4.3.7 has both mended")


def _on_flags(condition: Condition) -> Iterator[Advice]:
    if condition.flags is None:
        yield Advice("feature flags", "are not shown to this user; look at `rabbitmqctl list_feature_flags`")
        return
    off = [name for name, state in condition.flags.items() if state != "enabled"]
    for flag in NEEDED_FLAGS:
        if flag in off:
            yield Advice(f"feature flag {flag}", "is not enabled, and without it dead letters can be lost")
    others = sorted(set(off) - set(NEEDED_FLAGS))
    if others:
        yield Advice("feature flags", f"not enabled, and the next upgrade may need them: {', '.join(others)}")


def _on_deprecated_features(condition: Condition) -> Iterator[Advice]:
    for name in condition.deprecated or ():
        refused = "RabbitMQ 4.3 refuses it" if name in REFUSED_BY_4_3 else "a later RabbitMQ will refuse it"
        yield Advice(f"deprecated feature {name}", f"is used by somebody on this broker, and {refused}")


def _on_policies(live: LiveBroker) -> Iterator[Advice]:
    for policy in live.policies:
        if unreadable(policy):
            yield Advice(f"policy {policy.name}", f"has a pattern that cannot be read here: {policy.pattern}")


def _on_queue(wanted: Declaration, live: LiveBroker) -> Iterator[Advice]:
    found = live.queues.get(wanted.name)
    if found is None:
        return
    thing = f"queue {wanted.name}"
    laid = laid_over(live.policies, wanted.name, kinds_of_queue(found.kind))
    for limit in LIMITS:
        if limit in laid:
            full = "a full queue refuses messages, and whoever publishes keeps them"
            yield Advice(thing, f"policy {laid[limit].policy} sets {limit} to {laid[limit].value}; {full}")
    for binding in sorted(live.bindings):
        named = (binding.exchange, binding.key)
        if binding.queue == wanted.name and binding.exchange and named not in wanted.bindings:
            yield Advice(thing, f"is bound to {binding.exchange} by {binding.key!r} too, which nobody here asked for")


def _on_consumers(topology: Topology, live: LiveBroker) -> Iterator[Advice]:
    for queue in topology.queues:
        found = live.queues.get(queue.name)
        if found is not None and found.consumers == 0:
            yield Advice(f"queue {queue.name}", "has no consumer; start a worker for it")


def _on_strangers(topology: Topology, live: LiveBroker) -> Iterator[Advice]:
    """Know a queue of another release, or of another consumer service, by its way home from a rung or into `dead`."""
    ours = {queue.name for queue in queues(topology)}
    bound = {binding.queue for binding in live.bindings if binding.exchange in {RETRY_RETURN.name, DEAD.name}}
    for name in sorted(bound - ours):
        yield Advice(f"queue {name}", "is made like ours, but no task here reads it; another service's, or left over")
