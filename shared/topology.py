"""The places everyone agrees on, as values. How a broker keeps them is its backend's business."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple

from shared.commands import Command
from shared.contracts import Contract, Lane


@dataclass(frozen=True, slots=True)
class Exchange:
    """Where messages are published. Durable always."""

    name: str
    kind: Literal["topic", "direct", "fanout"]


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages on `exchange` whose routing key matches `key` reach the queue; `*` is one word, `#` any number."""

    exchange: Exchange
    key: str


@dataclass(frozen=True, slots=True)
class Queue:
    """One subscriber's private, durable line of messages, with its own dead letters."""

    name: str
    bindings: tuple[Binding, ...]

    @property
    def dead(self) -> str:
        """The queue where this queue's failures wait for an operator."""
        return f"{self.name}.dead"


@dataclass(frozen=True, slots=True)
class Rung:
    """A delay that a failed delivery can wait out in the broker, without holding a worker."""

    name: str
    delay: timedelta


DOMAIN_EVENTS = Exchange("domain.events", "topic")
"""Events; the routing key is the event's type, in its lane."""

DOMAIN_TASKS = Exchange("domain.tasks", "topic")
"""Commands; the routing key is the command's type, `<family>.<verb>`, in its lane."""

RETRY_RETURN = Exchange("retry.return", "direct")
"""The way home from a rung, and for a replay; the routing key is the home queue."""

DEAD = Exchange("dead", "direct")
"""The way to dead letters; the routing key is the home queue."""

RUNGS: tuple[Rung, ...] = (
    Rung("retry.1s", timedelta(seconds=1)),
    Rung("retry.5s", timedelta(seconds=5)),
    Rung("retry.30s", timedelta(seconds=30)),
    Rung("retry.2m", timedelta(minutes=2)),
    Rung("retry.10m", timedelta(minutes=10)),
    Rung("retry.30m", timedelta(minutes=30)),
    Rung("retry.2h", timedelta(hours=2)),
    Rung("retry.6h", timedelta(hours=6)),
)


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything one consumer service needs a broker to hold, beside the exchanges above."""

    queues: tuple[Queue, ...]
    rungs: tuple[Rung, ...] = RUNGS


class Remedy(StrEnum):
    """What ends a difference, and so who has to act."""

    APPLY = "apply creates it"
    POLICY = "a policy can change it"
    """In place: the queue and its messages stay as they are."""
    OPERATOR = "an operator must change it"
    """It is no queue or exchange of ours that is wrong, but what an operator has laid over it."""
    REPLACEMENT = "it must be replaced"
    """Nothing changes it in place, and nothing here deletes it."""


class Difference(NamedTuple):
    """One way in which the live broker is not what the code needs."""

    thing: str
    aspect: str
    wanted: str
    found: str
    remedy: Remedy
    how: str = ""
    """The steps, where the remedy alone does not say them."""

    def __str__(self) -> str:
        """Say it in one line, with both values."""
        steps = f": {self.how}" if self.how else ""
        return f"{self.thing}: {self.aspect} should be {self.wanted}, is {self.found}; {self.remedy}{steps}"


class Advice(NamedTuple):
    """Something that keeps nothing from working today, but that an operator should know before it does."""

    thing: str
    text: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.thing}: {self.text}"


def exchange_for(contract: type[Contract]) -> Exchange:
    """Return where messages of this contract are published: commands go to tasks, facts to everyone."""
    return DOMAIN_TASKS if issubclass(contract, Command) else DOMAIN_EVENTS


def routing_key(wire_type: str, lane: Lane) -> str:
    """Return the routing key of a type in a lane: the type itself, and in the bulk lane `bulk.` before it.

    Before, because what is bound to `mail.#` must not take what belongs into another queue.
    """
    return wire_type if lane is Lane.NORMAL else f"{lane.name.lower()}.{wire_type}"


def choose_rung(delay: timedelta, draw: float, rungs: tuple[Rung, ...] = RUNGS) -> int:
    """Return the index of the rung for a wished delay; `draw` in [0, 1) decides between two neighbours.

    A delay between two rungs takes the longer with the probability of its place between them on a log scale, so
    a crowd that failed together does not return together.
    """
    for index, (shorter, longer) in enumerate(pairwise(rungs)):
        if delay < longer.delay:
            return index + (draw < _place(delay, shorter.delay, longer.delay))
    return len(rungs) - 1


def _place(delay: timedelta, shorter: timedelta, longer: timedelta) -> float:
    if delay <= shorter:
        return 0.0
    return log(delay / shorter) / log(longer / shorter)


def matches(pattern: str, routing_key: str) -> bool:
    """Tell whether a topic binding's pattern matches a routing key, as AMQP 0-9-1 defines it (3.1.3.3)."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in {"*", words[0]} and _matches(rest, words[1:])
