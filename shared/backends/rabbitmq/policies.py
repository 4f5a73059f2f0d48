"""What comes of a queue's own arguments and the policies laid over them.

How a quorum queue combines them stands in rabbit_quorum_queue.erl (3.10 to 4.x, `args_policy_lookup`), and was tried
on 3.10.8 and 4.0.5: a policy's overflow beats the argument, so that drop-head throws messages away that our argument
would have kept; an argument beats a policy's dead-lettering; of two limits the smaller counts.
"""

import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple, cast

from shared.backends.rabbitmq.live import LivePolicy

SMALLER_COUNTS = {"message-ttl", "expires", "delivery-limit", "max-length", "max-length-bytes"}
ARGUMENT_COUNTS = {"dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy"}
SAFETY = {"overflow", "message-ttl", "expires", "delivery-limit", *ARGUMENT_COUNTS}
"""What decides whether a message is kept, and where it goes; all of it can be set by policy as well."""

TUNING = {
    *("max-length", "max-length-bytes", "max-in-memory-length", "max-in-memory-bytes"),
    *("queue-leader-locator", "quorum-initial-group-size", "quorum-target-group-size"),
}
"""What operators may give a queue as they see fit: a full queue refuses, and the outbox keeps what it refused."""


class Laid(NamedTuple):
    """One setting of a policy."""

    value: object
    policy: str


def laid_over(policies: Sequence[LivePolicy], name: str, kinds: set[str]) -> dict[str, Laid]:
    """Return the settings laid over what has this name and is of one of these kinds (`all` is understood).

    At most one policy and one operator policy apply: those of the highest priority. Of two limits the smaller
    counts, and in everything else the operator's word.
    """
    settings: dict[str, Laid] = {}
    for operator in (False, True):
        matching = [each for each in policies if each.operator is operator and is_over(each, name, kinds)]
        if matching:
            chosen = max(matching, key=lambda each: each.priority)
            for key, value in chosen.definition.items():
                both = key in settings and key in SMALLER_COUNTS
                if not both or smaller(value, settings[key].value) == value:
                    settings[key] = Laid(value, chosen.name)
    return settings


def is_over(policy: LivePolicy, name: str, kinds: set[str]) -> bool:
    """Tell whether a policy is meant for this name. False for a pattern that Python cannot read; see `unreadable`."""
    return policy.applies_to in {"all", *kinds} and not unreadable(policy) and bool(re.search(policy.pattern, name))


def unreadable(policy: LivePolicy) -> bool:
    """Tell whether a pattern is one that RabbitMQ's dialect of regular expressions has and Python's has not."""
    try:
        re.compile(policy.pattern)
    except re.error:
        return True
    return False


def kinds_of_queue(kind: str) -> set[str]:
    """Return what policies call queues of this type."""
    return {"queues", "streams" if kind == "stream" else f"{kind}_queues"}


def result(key: str, argument: object, laid: object) -> object:
    """Return the value that counts, given the queue's argument and the policies'; None where one is not there."""
    if laid is None:
        return argument
    if argument is None:
        return laid
    if key in SMALLER_COUNTS:
        return smaller(argument, laid)
    return argument if key in ARGUMENT_COUNTS else laid


def smaller(one: object, other: object) -> object:
    """Return the smaller of two limits; a negative one means that there is no limit."""
    return min(one, other, key=lambda limit: inf if cast("int", limit) < 0 else cast("int", limit))


def a_policy_reaches(key: str, wanted: object, argument: object) -> bool:
    """Tell whether a policy could make `wanted` count on a queue that has this argument."""
    return key in SAFETY and wanted is not None and result(key, argument, wanted) == wanted


def settings_of(arguments: Mapping[str, object] | None, kind: str) -> dict[str, object]:
    """Return a queue's arguments, with its type among them even where it was declared without naming one."""
    return {**(arguments or {}), "x-queue-type": kind}
