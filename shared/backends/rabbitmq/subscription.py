"""What the broker brought, and what it may forget: one consumer on one queue, for as long as its session lives."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import random

from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity
from pamqp import commands as spec

from shared.backends.rabbitmq.arrivals import Arrivals
from shared.backends.rabbitmq.frames import write_ack, write_requeue
from shared.backends.rabbitmq.publisher import RabbitPublisher
from shared.backends.rabbitmq.session import LIBRARY_ERRORS, Session, describe, reraise_our_own_cancellation
from shared.backends.rabbitmq.wire import write
from shared.errors import BrokerUnavailable, MoveNotConfirmed, SessionLost, TopologyError
from shared.topology import DEAD, RUNGS, choose_rung
from shared.transport import Delivery, Fate, Message, Outgoing, QueueState, Receipt

SETTLE_SECONDS = 10.0
SUBSCRIBE_SECONDS = 10.0
INSPECT_SECONDS = 5.0


class RabbitSubscription:
    """One consumer with manual acks. What arrives is only put in line here; nobody's task runs in a callback."""

    def __init__(self, session: Session, queue: str, mover: RabbitPublisher) -> None:
        """Hold nothing yet; `open` starts the consumer."""
        self._session = session
        self._queue = queue
        self._mover = mover
        self._arrived: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._last_arrived = 0
        self._all_settled_up_to = 0
        self._settled: set[int] = set()
        """Tags above that which are settled."""
        self._unwritten: list[bytes] = []
        """Settlements, in the order in which they were made."""
        self._writing = asyncio.Lock()
        self._consumer_tag = ""
        self._stopped = False
        self.lost = 0

    @classmethod
    async def open(
        cls, url: str, *, name: str, queue: str, prefetch: int, mover: RabbitPublisher
    ) -> "RabbitSubscription":
        """Connect and consume. Raises BrokerUnavailable, or TopologyError for a missing or forbidden queue."""
        session = await Session.open(url, name=name, confirms=False)
        subscription = cls(session, queue, mover)
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await subscription._consume(prefetch)
        except LIBRARY_ERRORS as error:
            await session.close()
            reraise_our_own_cancellation(error)
            raise _translated(error, queue) from error
        return subscription

    async def _consume(self, prefetch: int) -> None:
        channel = self._session.channel
        self._session.watch(self._news.set)
        self._session.listen(Arrivals(self._arrive))
        channel.on_consumer_cancel_callbacks.add(self._cancelled_by_broker)
        await channel.basic_qos(prefetch_count=prefetch)
        consuming = await channel.basic_consume(self._queue, _never_called)
        self._consumer_tag = str(consuming.consumer_tag)

    @property
    def ended(self) -> bool:
        """Whether the session has ended."""
        return self._session.ended

    def _cancelled_by_broker(self, frame: spec.Basic.Cancel) -> None:
        self._session.end(f"the broker cancelled the consumer of {self._queue} ({frame.consumer_tag})")

    def _arrive(self, tag: int, redelivered: bool, message: Message) -> None:  # noqa: FBT001 - see arrivals.Arrived
        self._last_arrived = tag
        self._arrived.append(Delivery(message, self._queue, redelivered, tag, self))
        self._news.set()

    async def take(self, most: int) -> Sequence[Delivery]:
        """Wait for at least one delivery, then return what has arrived. Raises SessionLost once all is taken."""
        while not self._arrived:
            if self.ended or self._stopped:
                raise SessionLost(f"{self._queue}: {self._session.reason or 'stopped by us'}")
            self._news.clear()
            await self._news.wait()
        return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]

    async def stop(self) -> None:
        """Cancel the consumer, and nack with requeue what was not taken."""
        if self.ended:
            return
        await self._within_deadline(self._session.channel.basic_cancel(self._consumer_tag), "cancelling the consumer")
        self._stopped = True
        untaken = list(self._arrived)
        self._arrived.clear()
        self._news.set()
        await self.release(untaken)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Ack in one write: everything up to the lowest open tag at once, the rest one by one."""
        tags = self._still_open(deliveries)
        mark = self._settle(tags)
        number = self._session.channel.number
        frames = [write_ack(number, tag) for tag in tags if tag > mark]
        if mark:
            frames.insert(0, write_ack(number, mark, multiple=True))
        await self._write(frames)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Nack with requeue, in one write."""
        tags = self._still_open(deliveries)
        self._settle(tags)
        await self._write([write_requeue(self._session.channel.number, tag) for tag in tags])

    def _still_open(self, deliveries: Sequence[Delivery]) -> list[int]:
        open_tags = sorted(delivery.tag for delivery in deliveries if self._is_open(delivery.tag))
        if self.ended:
            self.lost += len(open_tags)
            return []
        return open_tags

    def _is_open(self, tag: int) -> bool:
        return self._all_settled_up_to < tag <= self._last_arrived and tag not in self._settled

    def _settle(self, tags: Sequence[int]) -> int:
        """Note these as settled; return the highest of them below which nothing is open, or 0.

        The broker counts what it delivers on a channel from 1 on. It refuses a multiple-ack of a tag it has seen
        acked, so the mark is always one of `tags`.
        """
        self._settled.update(tags)
        while self._all_settled_up_to + 1 in self._settled:
            self._all_settled_up_to += 1
            self._settled.discard(self._all_settled_up_to)
        return max((tag for tag in tags if tag <= self._all_settled_up_to), default=0)

    async def _write(self, frames: Sequence[bytes]) -> None:
        """Have these written after all that was settled before, whoever settled it.

        A multiple-ack that overtook a release would ack what was released, and the message would be lost. The library's
        own queue is short, and when it is full whoever comes next may be let in before those who wait.
        """
        self._unwritten += frames
        async with self._writing:
            frames, self._unwritten = self._unwritten, []
            if frames and not self.ended:
                await self._within_deadline(write(self._session.channel, b"".join(frames)), "settling")

    async def _within_deadline(self, call: Awaitable[object], doing: str) -> None:
        """Await a call on the session; if it fails, the session is over, and the broker takes everything back.

        So it is when we are cancelled ourselves: what was noted as settled may not have been written.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await call
        except LIBRARY_ERRORS as error:
            self._session.end(f"{doing}: {describe(error)}")
            reraise_our_own_cancellation(error)

    async def retry(self, delivery: Delivery, delay: timedelta, notes: Mapping[str, object]) -> str | None:
        """Publish a copy to the rung for this delay, or to the nearest that takes it; then ack."""
        chosen = choose_rung(delay, random())  # noqa: S311 - spreads load, keeps no secret
        rungs = [*RUNGS[chosen:], *reversed(RUNGS[:chosen])]
        return await self._move(delivery, [rung.name for rung in rungs], notes)

    async def dead_letter(self, delivery: Delivery, notes: Mapping[str, object]) -> None:
        """Publish a copy to the dead letters of this queue; then ack."""
        await self._move(delivery, [DEAD.name], notes)

    async def _move(self, delivery: Delivery, exchanges: Sequence[str], notes: Mapping[str, object]) -> str | None:
        if not self._still_open([delivery]):
            return None
        message = replace(delivery.message, headers={**delivery.message.headers, **notes})
        receipt = Receipt(Fate.UNKNOWN)
        for exchange in exchanges:
            (receipt,) = await self._mover.publish([Outgoing(exchange, self._queue, message)])
            if receipt.fate is Fate.CONFIRMED:
                await self.ack([delivery])
                return exchange
            if receipt.fate is Fate.UNKNOWN:
                break
        raise MoveNotConfirmed(f"{self._queue} to {exchange}: {receipt.fate}, {receipt.detail}")

    async def inspect(self) -> QueueState:
        """Ask over a channel of its own, because the answer to a missing queue closes the channel."""
        try:
            async with asyncio.timeout(INSPECT_SECONDS):
                channel = await self._session.another_channel()
                queue = await channel.declare_queue(self._queue, passive=True)
                await channel.close()
        except LIBRARY_ERRORS as error:
            reraise_our_own_cancellation(error)
            raise SessionLost(f"asking about {self._queue}: {describe(error)}") from error
        found = queue.declaration_result
        return QueueState(messages=found.message_count or 0, consumers=found.consumer_count or 0)

    async def close(self) -> None:
        """End the session; everything unsettled is delivered again."""
        await self._session.close()


async def _never_called(_: object) -> None:
    """Stand where the library wants a callback: deliveries are heard before they reach it."""


def _translated(error: BaseException, queue: str) -> BrokerUnavailable | TopologyError:
    if isinstance(error, ChannelNotFoundEntity | ChannelAccessRefused):
        return TopologyError(f"queue {queue}: {describe(error)}")
    return BrokerUnavailable(f"consuming {queue}: {describe(error)}")
