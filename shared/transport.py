"""The promise between the services and a broker. Every backend keeps it; one conformance suite checks them all.

The delivery contract, in words:

- *At least once.* A confirmed message is delivered to every bound queue again and again until it is settled there.
- *One settlement.* A delivery is settled once: acked, moved to a rung, moved to dead letters, or released.
- *Copy first, ack second.* Moving a delivery publishes a copy with a confirm and only then acks the original. A
  crash between the two leaves both, with the same message id; the inbox of the reader makes the second harmless.
- *Dead sessions settle nothing.* When the session that brought a delivery has ended, the broker has already taken
  the delivery back. Settling it is dropped and counted, never an error.
- *Timeouts mean unknown.* A publish that was not confirmed before its deadline may have arrived.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from shared.topology import Advice, Difference, Topology

ATTEMPT = "tidings-attempt"
"""The header that counts attempts, from 1. Ours, because every RabbitMQ version counts its own in another way."""

MOST_ATTEMPTS = 1_000_000
"""A header that claims more than this was not written by us."""

LARGEST_BODY = 256 * 1024
"""Bytes. Far below the broker's own limit (16 MiB from RabbitMQ 4.0), so that no batch can starve its neighbours."""


class BrokerDeath(NamedTuple):
    """How the broker itself came to dead-letter a message: by which of its own rules, in which queue, and when."""

    reason: str
    queue: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Message:
    """What a broker carries: bytes, and the travel data that a person reads in the management UI."""

    body: bytes
    content_type: str | None = None
    message_id: str | None = None
    type: str | None = None
    source: str | None = None
    correlation_id: str | None = None
    time: datetime | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    death: BrokerDeath | None = None
    """The last time that the broker itself dead-lettered it, by the broker's account. Read, never sent."""

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1. A missing or nonsensical header counts as the first."""
        attempt = self.headers.get(ATTEMPT)
        return attempt if isinstance(attempt, int) and 1 <= attempt <= MOST_ATTEMPTS else 1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way: where to, and what."""

    exchange: str
    routing_key: str
    message: Message


class Fate(StrEnum):
    """What became of a published message."""

    CONFIRMED = "confirmed"
    """Every bound queue holds it safely."""
    UNROUTABLE = "unroutable"
    """No queue is bound for it; no queue took it."""
    REFUSED = "refused"
    """At least one queue would not take it (it is full); others may have it. Publish again later."""
    FORBIDDEN = "forbidden"
    """The broker denies this publisher this exchange or routing key."""
    INVALID = "invalid"
    """It cannot be expressed in the broker's protocol; it was not sent, and never can be."""
    UNKNOWN = "unknown"
    """No answer before the deadline or the end of the session; it may have arrived."""


class Receipt(NamedTuple):
    """What became of one published message, and the broker's words for it."""

    fate: Fate
    detail: str = ""


class Publisher(Protocol):
    """Publishes with confirms. Opens its session when first used and again after any failure."""

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to wait (a memory or disk alarm)."""
        ...

    @property
    def sessions(self) -> int:
        """How many sessions were opened so far: one is as it should be, each further one replaced one that ended."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Publish in this order and return one receipt per message, in this order.

        Blocks until every message is answered or the deadline has passed. Calls may overlap, but one message id
        must not be in flight twice. Raises BrokerUnavailable when no session could be opened; nothing was sent.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message that this worker holds unsettled. `tag` means something only to the subscription it came from."""

    message: Message
    queue: str
    redelivered: bool
    tag: int
    subscription: "Subscription"


class QueueState(NamedTuple):
    """A queue as the broker sees it."""

    messages: int
    consumers: int


class Subscription(Protocol):
    """One session's hold on one queue. Disposable: once `ended` it stays ended, and a new one must be opened."""

    @property
    def ended(self) -> bool:
        """Whether the session has ended; if so, nothing it brought can be settled any more."""
        ...

    @property
    def lost(self) -> int:
        """How many settlements came after the end of the session, and so were dropped."""
        ...

    async def take(self, most: int) -> Sequence[Delivery]:
        """Wait for at least one delivery, then return all that have arrived, at most `most`.

        Never lingers for more. Raises SessionLost once the session has ended and all that arrived was taken.
        """
        ...

    async def stop(self) -> None:
        """Ask the broker for no more deliveries, and give back those that nobody has taken.

        What was taken can still be settled. `take` raises SessionLost from then on.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker forget these deliveries. They must be done: committed, confirmed elsewhere, or duplicates."""
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back to the queue at once, for any worker; they come again marked as redelivered."""
        ...

    async def retry(self, delivery: Delivery, delay: timedelta, notes: Mapping[str, object]) -> str | None:
        """Bring this delivery back to its queue after about `delay`, with `notes` among its headers.

        Returns the name of the rung on which it waits; None when its session has ended, and it waits nowhere.
        Raises MoveNotConfirmed when no copy is known to be safe; the original is then still unsettled.
        """
        ...

    async def dead_letter(self, delivery: Delivery, notes: Mapping[str, object]) -> None:
        """Move this delivery to its queue's dead letters, with `notes` among its headers.

        Raises MoveNotConfirmed when no copy is known to be safe; the original is then still unsettled.
        """
        ...

    async def inspect(self) -> QueueState:
        """Ask the broker about the queue. Raises SessionLost when there is no answer before the deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do. Declared, so that the conformance suite can check the declaration."""

    persistent: bool
    """Confirmed messages survive a restart of the broker."""
    shared_between_processes: bool
    """Publisher and subscriber may live in different processes."""


class Transport(Protocol):
    """One broker, chosen by URL."""

    capabilities: Capabilities

    def publisher(self) -> AbstractAsyncContextManager[Publisher]:
        """Return a publisher that is closed on leaving the context. Entering does not need the broker."""
        ...

    def subscribe(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Subscription]:
        """Open one session on a queue, holding at most `prefetch` deliveries unsettled.

        Leaving the context ends the session: what is unsettled is delivered again, to anyone.
        Raises BrokerUnavailable, or TopologyError when the queue does not exist or may not be read.
        """
        ...

    async def plan(self, topology: Topology) -> Sequence[Difference]:
        """Return every way in which the broker differs from this topology, as far as it can be seen.

        Changes nothing. Raises BrokerUnavailable when the broker, or its management API where one was named, gives
        no answer.
        """
        ...

    async def advise(self, topology: Topology) -> Sequence[Advice]:
        """Return what is no difference, but worth a warning: its version, its settings, what nobody needs.

        Changes nothing. Raises BrokerUnavailable as `plan` does.
        """
        ...

    async def apply(self, topology: Topology) -> Sequence[Difference]:
        """Create what is missing, and return what that was: nothing, when it is repeated.

        Never deletes, and never changes what is there, but for bindings it adds. Raises TopologyError, before anything
        is created, where something must be replaced first.
        """
        ...
