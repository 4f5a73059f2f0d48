"""Which of the messages that were published the broker has answered for."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.backends.rabbitmq.frames import (
    ACK,
    HEADER,
    METHOD,
    NACK,
    RETURN,
    read_header,
    read_settled,
    write_publish,
)
from shared.backends.rabbitmq.wire import write
from shared.contracts import LONGEST_WIRE_TYPE
from shared.transport import Fate, Outgoing, Receipt

CONFIRMED = Receipt(Fate.CONFIRMED)
UNROUTABLE = Receipt(Fate.UNROUTABLE, "no queue is bound for it")
REFUSED = Receipt(Fate.REFUSED, "a queue refused it; it is full, or has lost its quorum")


class Batch:
    """Messages in the air. Collects a receipt for each; `answered` is done when the last has come."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        """Start with no receipts."""
        self.receipts: list[Receipt | None] = [None] * len(messages)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = len(messages)

    def answer(self, index: int, receipt: Receipt) -> None:
        """Record what became of one message. The first answer counts."""
        if self.receipts[index] is None:
            self.receipts[index] = receipt
            self._waiting -= 1
            if not self._waiting and not self.answered.done():
                self.answered.set_result(None)

    def give_up(self, detail: str) -> None:
        """Answer everything that is still open with 'unknown'."""
        for index in range(len(self.receipts)):
            self.answer(index, Receipt(Fate.UNKNOWN, detail))


class _Open(NamedTuple):
    """One message that the broker has not answered for."""

    batch: Batch
    place: int
    message_id: str


class Confirms:
    """One channel's publishing: numbers what is sent, and matches the broker's answers to it.

    The broker counts what is published on a channel from 1 on. A message that it could not route comes back first,
    known by its id alone, and is then acked all the same; the first answer counts.
    """

    def __init__(self, channel: Any) -> None:
        """Nothing may have been published on this channel, and nobody else may publish on it."""
        self._channel = channel
        self._sent = 0
        self._answered = 0
        """Everything up to this tag is answered."""
        self._open: dict[int, _Open] = {}
        self._by_id: dict[str, _Open] = {}
        self._is_returning = False

    async def send(self, messages: Sequence[Outgoing], batch: Batch) -> None:
        """Write all messages to the socket in one go, and have `batch` told what becomes of each.

        Returns when the socket has taken them, not when they are confirmed. If it is cancelled or raises, the
        numbering can no longer be trusted, and the channel must be thrown away.
        """
        async with self._channel.lock:
            payload = bytearray()
            for index, outgoing in enumerate(messages):
                message_id = outgoing.message.message_id or uuid.uuid4().hex
                try:
                    payload += self._frames(outgoing, message_id)
                except (ValueError, TypeError, OverflowError) as error:
                    batch.answer(index, Receipt(Fate.INVALID, str(error)[:300]))
                else:
                    self._expect(_Open(batch, index, message_id))
            await write(self._channel, bytes(payload))

    def _frames(self, outgoing: Outgoing, message_id: str) -> bytes:
        if len(outgoing.routing_key.encode()) > LONGEST_WIRE_TYPE:
            raise ValueError(f"the routing key is longer than {LONGEST_WIRE_TYPE} bytes")
        return write_publish(self._channel.number, outgoing, message_id, largest=self._channel.max_content_size)

    def _expect(self, sent: _Open) -> None:
        self._sent += 1
        self._open[self._sent] = self._by_id[sent.message_id] = sent

    def hear(self, kind: int, payload: bytes) -> bool:
        """Take answers and what comes back, and leave everything else: see `wire.Listener`."""
        if kind != METHOD:
            return self._hear_content(kind, payload)
        method = payload[:4]
        if method in {ACK, NACK}:
            self._settle(payload, CONFIRMED if method == ACK else REFUSED)
            return True
        self._is_returning = method == RETURN
        return self._is_returning

    def _hear_content(self, kind: int, payload: bytes) -> bool:
        if kind == HEADER and self._is_returning:
            _, properties = read_header(payload)
            returned = self._by_id.get(str(properties.get("message_id")))
            if returned is not None:
                returned.batch.answer(returned.place, UNROUTABLE)
        return self._is_returning

    def _settle(self, payload: bytes, receipt: Receipt) -> None:
        tag, multiple = read_settled(payload)
        for each in range(self._answered + 1, min(tag, self._sent) + 1) if multiple else (tag,):
            answered = self._open.pop(each, None)
            if answered is not None:
                self._by_id.pop(answered.message_id, None)
                answered.batch.answer(answered.place, receipt)
        while self._answered < self._sent and self._answered + 1 not in self._open:
            self._answered += 1
