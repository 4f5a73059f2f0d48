"""The promise kept inside one process: for the embedded demo, and for testing your own tasks without a broker.

Everything is lost when the process ends, which `capabilities` says; the stand-alone services therefore refuse it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.errors import SessionLost, TopologyError
from shared.topology import DEAD, RETRY_RETURN, Advice, Difference, Queue, Remedy, Topology, matches
from shared.transport import (
    Capabilities,
    Delivery,
    Fate,
    Message,
    Outgoing,
    QueueState,
    Receipt,
)

TIMER = "timer"
"""Where retried messages wait, each for itself."""


@dataclass(slots=True)
class MemoryQueue:
    """A line of messages, and whether each came back from a session that ended."""

    ready: deque[tuple[Message, bool]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    consumers: int = 0

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        self.ready.append((message, False))
        self.changed.set()

    def put_back(self, messages: Sequence[Message]) -> None:
        """Return messages to the front, in their old order, marked as redelivered."""
        self.ready.extendleft((message, True) for message in reversed(messages))
        self.changed.set()


class MemoryTransport:
    """A broker in this process. Publisher and subscriber must share this very object."""

    capabilities = Capabilities(persistent=False, shared_between_processes=False)

    def __init__(self) -> None:
        """Start empty: publishing is unroutable until a topology is applied."""
        self._topology = Topology(queues=())
        self._queues: dict[str, MemoryQueue] = {}

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator["MemoryPublisher"]:
        """Return a publisher into this broker."""
        yield MemoryPublisher(self)

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator["MemorySubscription"]:
        """Open a session on a queue. Raises TopologyError when there is no such queue."""
        line = self._queues.get(queue)
        if line is None:
            raise TopologyError(f"queue {queue}: does not exist; apply the topology first")
        subscription = MemorySubscription(self, queue, line, prefetch)
        line.consumers += 1
        try:
            yield subscription
        finally:
            line.consumers -= 1
            subscription.end()

    async def plan(self, topology: Topology) -> Sequence[Difference]:
        """Return what is missing here."""
        return [
            Difference(f"queue {name}", "existence", "present", "missing", Remedy.APPLY)
            for name in _names(topology)
            if name not in self._queues
        ]

    async def advise(self, topology: Topology) -> Sequence[Advice]:  # noqa: ARG002 - the promise's signature
        """Return nothing: there is no broker that somebody could have set up otherwise."""
        return []

    async def apply(self, topology: Topology) -> Sequence[Difference]:
        """Create the queues and their dead letters, and bind them. Messages already there stay."""
        mended = await self.plan(topology)
        self._topology = topology
        for name in _names(topology):
            self._queues.setdefault(name, MemoryQueue())
        return mended

    def route(self, outgoing: Outgoing) -> list[str]:
        """Return the queues that a message reaches."""
        if outgoing.exchange == DEAD.name:
            targets = [queue.dead for queue in self._topology.queues if queue.name == outgoing.routing_key]
        elif outgoing.exchange == RETRY_RETURN.name:
            targets = [queue.name for queue in self._topology.queues if queue.name == outgoing.routing_key]
        else:
            targets = [queue.name for queue in self._topology.queues if _is_bound(queue, outgoing)]
        return targets

    def put(self, queue: str, message: Message) -> None:
        """Append a message to a queue."""
        self._queues[queue].put(message)


def _names(topology: Topology) -> list[str]:
    return [name for queue in topology.queues for name in (queue.name, queue.dead)]


def _is_bound(queue: Queue, outgoing: Outgoing) -> bool:
    return any(
        binding.exchange.name == outgoing.exchange and matches(binding.key, outgoing.routing_key)
        for binding in queue.bindings
    )


class MemoryPublisher:
    """Publishes into the broker of this process; confirmed when it returns."""

    blocked = False
    sessions = 1

    def __init__(self, transport: MemoryTransport) -> None:
        """Remember the broker."""
        self._transport = transport

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Put each message into every queue bound for it."""
        return [self._publish(outgoing) for outgoing in messages]

    def _publish(self, outgoing: Outgoing) -> Receipt:
        targets = self._transport.route(outgoing)
        for queue in targets:
            self._transport.put(queue, outgoing.message)
        return Receipt(Fate.CONFIRMED) if targets else Receipt(Fate.UNROUTABLE, "no queue is bound for it")


class MemorySubscription:
    """One session on one queue of this process."""

    def __init__(self, transport: MemoryTransport, name: str, line: MemoryQueue, prefetch: int) -> None:
        """Hold nothing yet."""
        self._transport = transport
        self._name = name
        self._line = line
        self._prefetch = prefetch
        self._held: dict[int, Message] = {}
        self._last_tag = 0
        self._stopped = False
        self.ended = False
        self.lost = 0

    async def take(self, most: int) -> Sequence[Delivery]:
        """Wait for at least one delivery, then return what has arrived."""
        while not (self.ended or self._stopped):
            free = min(most, self._prefetch - len(self._held))
            if self._line.ready and free > 0:
                return [self._deliver() for _ in range(min(free, len(self._line.ready)))]
            self._line.changed.clear()
            await self._line.changed.wait()
        raise SessionLost(f"the subscription of {self._name} has ended")

    def _deliver(self) -> Delivery:
        message, redelivered = self._line.ready.popleft()
        self._last_tag += 1
        self._held[self._last_tag] = message
        return Delivery(message, self._name, redelivered, self._last_tag, self)

    async def stop(self) -> None:
        """Deliver no more."""
        self._stopped = True
        self._line.changed.set()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Forget these."""
        self._settle(deliveries)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back."""
        self._line.put_back(self._settle(deliveries))

    def _settle(self, deliveries: Sequence[Delivery]) -> list[Message]:
        """Let go of those that are still held, and make room for as many; count those that came too late."""
        held = [self._held.pop(delivery.tag) for delivery in deliveries if delivery.tag in self._held]
        self.lost += (len(deliveries) - len(held)) if self.ended else 0
        self._line.changed.set()
        return held

    async def retry(self, delivery: Delivery, delay: timedelta, notes: Mapping[str, object]) -> str | None:
        """Bring this one back after `delay`, exactly."""
        for message in self._settle([delivery]):
            again = replace(message, headers={**message.headers, **notes})
            asyncio.get_running_loop().call_later(delay.total_seconds(), self._transport.put, self._name, again)
            return TIMER
        return None

    async def dead_letter(self, delivery: Delivery, notes: Mapping[str, object]) -> None:
        """Move this one to dead letters."""
        for message in self._settle([delivery]):
            self._transport.put(f"{self._name}.dead", replace(message, headers={**message.headers, **notes}))

    async def inspect(self) -> QueueState:
        """Return the queue's depth and consumers."""
        return QueueState(messages=len(self._line.ready), consumers=self._line.consumers)

    def end(self) -> None:
        """End the session: what it held goes back, in order."""
        self.ended = True
        held = list(self._held.values())
        self._held.clear()
        self._line.put_back(held)
