"""What the bytes say: messages to AMQP frames and back. The only module that touches what lies beneath aio-pika.

It relies on aiormq 7.2's channel: `delivery_tag`, `confirmations`, `message_id_delivery_tag`, `lock`, `write_queue`;
`tests/transports/test_wire.py` pins the version, so that an upgrade is read before it is trusted.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pamqp.frame
from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.constants import FRAME_HEADER, FRAME_HEADER_SIZE
from pamqp.header import ContentHeader

from shared.contracts import LONGEST_WIRE_TYPE
from shared.transport import Fate, Message, Outgoing, Receipt

PERSISTENT = 2
BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "CC", "BCC")
"""Headers that steer the broker. Not copied onto a message we publish again (a copied x-death looks like a cycle)."""

MOST_HEADERS = 64

DEEPEST_HEADER = 8

LARGEST_HEADERS = 32 * 1024
"""Characters. All headers travel in one frame, which holds 128 KiB; what we add when we move a message needs room."""


class FrameReader:
    """Hands the library one whole frame at a time, and makes headers that it cannot decode harmless.

    A content header with, say, a timestamp in the year 9999999 would otherwise end the connection, be delivered
    again, and end the next one. Such a message arrives without its properties; its body decides what it is.
    """

    def __init__(self, stream: asyncio.StreamReader) -> None:
        """Read from this stream."""
        self._stream = stream
        self._frame = b""

    def at_eof(self) -> bool:
        """Whether nothing more will come."""
        return not self._frame and self._stream.at_eof()

    async def read(self, most: int = -1) -> bytes:
        """Return what is left of the frame, or the stream."""
        left, self._frame = self._frame, b""
        return left or await self._stream.read(most)

    async def readexactly(self, count: int) -> bytes:
        """Return the next bytes of the frame; raises IncompleteReadError when the stream ends inside one."""
        if not self._frame:
            self._frame = await self._next_frame()
        part, self._frame = self._frame[:count], self._frame[count:]
        return part

    async def _next_frame(self) -> bytes:
        head = await self._stream.readexactly(FRAME_HEADER_SIZE)
        if head.startswith(b"AMQP"):
            return head + await self._stream.readexactly(1)
        rest = await self._stream.readexactly(int.from_bytes(head[3:7], "big") + 1)
        return _harmless(head, rest) if head[0] == FRAME_HEADER else head + rest


def _harmless(head: bytes, rest: bytes) -> bytes:
    try:
        ContentHeader().unmarshal(rest[:-1])
    except (ValueError, OverflowError, OSError, RecursionError, LookupError, TypeError, ArithmeticError):
        bare = ContentHeader(body_size=int.from_bytes(rest[4:12], "big"))
        return pamqp.frame.marshal(bare, int.from_bytes(head[1:3], "big"))
    return head + rest


def read_message(delivered: DeliveredMessage) -> Message:
    """Return the message in a delivery."""
    properties = delivered.header.properties
    headers = properties.headers or {}
    return Message(
        body=delivered.body,
        content_type=properties.content_type,
        message_id=properties.message_id,
        type=properties.message_type,
        source=properties.app_id,
        correlation_id=properties.correlation_id,
        time=properties.timestamp,
        headers=_kept(headers) if headers else {},
    )


def _kept(headers: Mapping[str, object]) -> dict[str, object]:
    """Keep what can be written again and fits into one frame with our notes beside it.

    Ours and the CloudEvents attributes come first, so that a message with a thousand headers keeps those that count.
    """
    ours_first = sorted(headers, key=lambda name: not name.startswith(("tidings-", "ce-", "cloudEvents")))
    kept: dict[str, object] = {}
    room = LARGEST_HEADERS
    for name in [name for name in ours_first if not name.startswith(BROKERS_OWN)][:MOST_HEADERS]:
        value = _writable(headers[name])
        size = len(name) + len(repr(value))
        if size <= room:
            kept[name], room = value, room - size
    return kept


def _writable(value: object, depth: int = 0) -> object:
    """Return a value that can be encoded again: pamqp reads text that is not UTF-8 as bytes, and writes no bytes."""
    match value:
        case bytes():
            return value.decode("utf-8", "replace")
        case list() | dict() if depth >= DEEPEST_HEADER:
            return "nested too deep"
        case list():
            return [_writable(each, depth + 1) for each in value]
        case dict():
            return {name: _writable(each, depth + 1) for name, each in value.items()}
        case _:
            return value


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


class _Confirmation:
    """Stands in aiormq's table of confirmations where it expects a future; passes the answer to the batch."""

    __slots__ = ("_batch", "_channel", "_index", "_message_id")

    def __init__(self, batch: Batch, index: int, channel: Any, message_id: str) -> None:
        self._batch = batch
        self._index = index
        self._channel = channel
        self._message_id = message_id

    def done(self) -> bool:
        return self._batch.receipts[self._index] is not None

    cancelled = done

    def set_result(self, frame: object) -> None:
        confirmed = isinstance(frame, spec.Basic.Ack)
        self._answer(Receipt(Fate.CONFIRMED) if confirmed else Receipt(Fate.UNKNOWN, f"answered by {frame!r}"))

    def set_exception(self, error: Exception) -> None:
        if isinstance(error, PublishError):
            self._answer(Receipt(Fate.UNROUTABLE, "no queue is bound for it"))
        elif isinstance(error, DeliveryError):
            self._answer(Receipt(Fate.REFUSED, "a queue refused it; it is full, or has lost its quorum"))
        else:
            self._answer(Receipt(Fate.UNKNOWN, str(error)[:300]))

    def _answer(self, receipt: Receipt) -> None:
        self._channel.message_id_delivery_tag.pop(self._message_id, None)
        self._batch.answer(self._index, receipt)


async def send_batch(channel: Any, messages: Sequence[Outgoing], batch: Batch) -> None:
    """Write all messages to the socket in one go, and enter them for confirmation into `batch`.

    Returns when the socket has taken them, not when they are confirmed. If it is cancelled or raises, the numbering
    of confirms can no longer be trusted, and the channel must be thrown away.
    """
    async with channel.lock:
        payload = bytearray()
        for index, outgoing in enumerate(messages):
            message_id = outgoing.message.message_id or uuid.uuid4().hex
            try:
                payload += _frames(channel, outgoing, message_id)
            except (ValueError, TypeError, OverflowError) as error:
                batch.answer(index, Receipt(Fate.INVALID, str(error)[:300]))
                continue
            channel.delivery_tag += 1
            channel.confirmations[channel.delivery_tag] = _Confirmation(batch, index, channel, message_id)
            channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        await _write(channel, bytes(payload))


def _frames(channel: Any, outgoing: Outgoing, message_id: str) -> bytes:
    number, body = channel.number, outgoing.message.body
    publish = spec.Basic.Publish(exchange=outgoing.exchange, routing_key=outgoing.routing_key, mandatory=True)
    if len(outgoing.routing_key.encode()) > LONGEST_WIRE_TYPE:
        raise ValueError(f"the routing key is longer than {LONGEST_WIRE_TYPE} bytes")
    header = ContentHeader(properties=_properties(outgoing.message, message_id), body_size=len(body))
    size = channel.max_content_size
    frames: list[spec.Basic.Publish | ContentHeader | ContentBody] = [publish, header]
    frames += [ContentBody(body[start : start + size]) for start in range(0, len(body), size)]
    return b"".join(pamqp.frame.marshal(frame, number) for frame in frames)


def _properties(message: Message, message_id: str) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type=message.content_type,
        headers=cast("FieldTable", dict(message.headers)) or None,
        delivery_mode=PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=message_id,
        timestamp=message.time,
        message_type=message.type,
        app_id=message.source,
    )


async def settle(channel: AbstractChannel, frames: Sequence[spec.Basic.Ack | spec.Basic.Nack]) -> None:
    """Write these acks and nacks to the socket in one go."""
    await _write(channel, b"".join(pamqp.frame.marshal(frame, channel.number) for frame in frames))


async def _write(channel: Any, payload: bytes) -> None:
    if payload:
        drained = asyncio.get_running_loop().create_future()
        await channel.write_queue.put(ChannelFrame(payload, should_close=False, drain_future=drained))
        await drained
