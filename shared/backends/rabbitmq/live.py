"""What a live broker holds in one virtual host, and in what state it is: values, as its management API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class LiveExchange:
    """An exchange that is there."""

    name: str
    kind: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class LiveQueue:
    """A queue that is there. `consumers` is None while the broker has not counted them yet."""

    name: str
    kind: str
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: Mapping[str, object] | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Settings that the broker lays over whatever has a name like this. `pattern` is not anchored."""

    name: str
    pattern: str
    applies_to: str
    definition: Mapping[str, object]
    priority: int = 0
    operator: bool = False


class LiveBinding(NamedTuple):
    """One way from an exchange to a queue."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class LiveBroker:
    """What one virtual host holds."""

    exchanges: Mapping[str, LiveExchange]
    queues: Mapping[str, LiveQueue]
    bindings: frozenset[LiveBinding]
    policies: tuple[LivePolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of the broker itself; None where it would not say."""

    version: str
    flags: Mapping[str, str] | None = None
    """The state of each feature flag, such as `enabled`."""
    deprecated: tuple[str, ...] | None = None
    """Deprecated features that somebody uses on this broker, not necessarily we."""
    guest: bool | None = None
    """Whether guest, with the password that everybody knows, can log in from here."""
