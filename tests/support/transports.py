"""The memory transport, watched and made to misbehave; and a subscription that does nothing but record."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from support.builders import a_message, an_outgoing

from shared.backends.memory import MemoryQueue, MemorySubscription, MemoryTransport
from shared.errors import BrokerUnavailable, MoveNotConfirmed, SessionLost, TidingsError
from shared.transport import Delivery, Message, QueueState

Journal = list[tuple[str, str]]
"""What happened, in order: a verb, and a message id."""

QUICKLY = 0.002
"""How much of a delay the watched transport waits: five seconds become ten milliseconds."""


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.message.message_id or "" for delivery in deliveries]


class WatchedTransport(MemoryTransport):
    """Notes every settlement in `journal`, shortens delays, and fails as it is told."""

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__()
        self.journal: Journal = [] if journal is None else journal
        self.sessions: list[WatchedSubscription] = []
        self.refusals: list[TidingsError] = []
        """What the next attempts to subscribe raise, one each."""
        self.moves_to_refuse = 0
        self.on_its_way = 0
        """Retried messages whose delay is not over."""

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator["WatchedSubscription"]:
        if self.refusals:
            raise self.refusals.pop(0)
        async with super().subscribe(queue, prefetch=prefetch):
            session = WatchedSubscription(self, queue, self._queues[queue], prefetch)
            self.sessions.append(session)
            try:
                yield session
            finally:
                session.end()

    async def send(self, *messages: Message, key: str = "user.created") -> None:
        """Publish, and make sure that somebody is bound for it."""
        async with self.publisher() as publisher:
            receipts = await publisher.publish([an_outgoing(message, key=key) for message in messages])
        assert all(receipt.fate == "confirmed" for receipt in receipts)

    def waiting(self, queue: str) -> list[Message]:
        """Return what stands in a queue and was not delivered."""
        return [message for message, _redelivered in self._queues[queue].ready]

    def again(self, queue: str, message: Message) -> None:
        """Deliver a message as one that was delivered before, to a worker that has died since."""
        self._queues[queue].put_back([message])

    def end_sessions(self) -> None:
        """End every session at once, as a broker does that is restarted."""
        for session in self.sessions:
            if not session.ended:
                session.end()


class WatchedSubscription(MemorySubscription):
    """One session of the watched transport."""

    def __init__(self, transport: WatchedTransport, name: str, line: MemoryQueue, prefetch: int) -> None:
        super().__init__(transport, name, line, prefetch)
        self._watched = transport

    def _note(self, verb: str, deliveries: Sequence[Delivery]) -> None:
        self._watched.journal += [(f"{verb} in vain" if self.ended else verb, id_) for id_ in ids(deliveries)]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._note("acked", deliveries)
        await super().ack(deliveries)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self._note("released", deliveries)
        await super().release(deliveries)

    async def retry(self, delivery: Delivery, delay: timedelta, notes: Mapping[str, object]) -> str | None:
        self._refuse()
        self._note("retried", [delivery])
        quick = delay * QUICKLY
        self._watched.on_its_way += 1
        asyncio.get_running_loop().call_later(quick.total_seconds(), self._arrived)
        return await super().retry(delivery, quick, notes)

    def _arrived(self) -> None:
        self._watched.on_its_way -= 1

    async def dead_letter(self, delivery: Delivery, notes: Mapping[str, object]) -> None:
        self._refuse()
        self._note("dead-lettered", [delivery])
        await super().dead_letter(delivery, notes)

    def _refuse(self) -> None:
        if self._watched.moves_to_refuse:
            self._watched.moves_to_refuse -= 1
            raise MoveNotConfirmed("refused, as the test wants it")


class RecordingSubscription:
    """Brings nothing and settles nothing; records what it is asked for. `gate` holds moves up while it is closed."""

    def __init__(self, state: QueueState | TidingsError | None = None) -> None:
        self.journal: Journal = []
        self.notes: list[Mapping[str, object]] = []
        self.delays: list[timedelta] = []
        self.ended = False
        self.lost = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._state = state or QueueState(messages=0, consumers=1)

    async def take(self, _most: int) -> Sequence[Delivery]:
        await asyncio.Event().wait()
        raise SessionLost("not reached")

    async def stop(self) -> None:
        self.journal.append(("stopped", ""))

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.journal += [("acked", id_) for id_ in ids(deliveries)]

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self.journal += [("released", id_) for id_ in ids(deliveries)]

    async def retry(self, delivery: Delivery, delay: timedelta, notes: Mapping[str, object]) -> str | None:
        await self._move("retried", delivery, notes)
        self.delays.append(delay)
        return None if self.ended else "retry.5s"

    async def dead_letter(self, delivery: Delivery, notes: Mapping[str, object]) -> None:
        await self._move("dead-lettered", delivery, notes)

    async def _move(self, verb: str, delivery: Delivery, notes: Mapping[str, object]) -> None:
        self.journal += [("moving", id_) for id_ in ids([delivery])]
        await self.gate.wait()
        self.notes.append(notes)
        self.journal += [(verb, id_) for id_ in ids([delivery])]

    async def inspect(self) -> QueueState:
        if isinstance(self._state, TidingsError):
            raise self._state
        return self._state


class CountingSubscription(RecordingSubscription):
    """Notes how many deliveries each ack was for."""

    def __init__(self) -> None:
        super().__init__()
        self.acks: list[int] = []

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.acks.append(len(deliveries))


class SilentTransport(MemoryTransport):
    """Opens sessions that bring nothing, on a queue that is in the given state. Notes them in `opened`."""

    def __init__(self, state: QueueState | TidingsError) -> None:
        super().__init__()
        self.state = state
        self.opened: list[tuple[str, int]] = []

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator[RecordingSubscription]:  # type: ignore[override]
        self.opened.append((queue, prefetch))
        yield RecordingSubscription(self.state)


class AbsentTransport(MemoryTransport):
    """A broker that is away. Counts the attempts to reach it in `attempts`."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator[MemorySubscription]:
        self.attempts += 1
        if queue:
            raise BrokerUnavailable("nobody answers")
        async with super().subscribe(queue, prefetch=prefetch) as session:
            yield session


def a_delivery(
    message: Message | None = None,
    *,
    redelivered: bool = False,
    subscription: RecordingSubscription | None = None,
    queue: str = "consumer.mail",
    tag: int = 1,
) -> Delivery:
    return Delivery(message or a_message(), queue, redelivered, tag, subscription or RecordingSubscription())
