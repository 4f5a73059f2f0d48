"""The AMQP 0-9-1 frames that every message costs, between bytes and values. Pure.

Only these are read and written by hand, because they are all the work there is once a session stands; the rest of
the protocol stays with the library beneath aio-pika. Layouts are those of the AMQP 0-9-1 specification, sections
2.3.5 (frames), 4.2.6 (content header) and 1.8 (class basic); pamqp is the oracle of the tests, and does the tables.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct, error
from typing import Any, NamedTuple, cast

from pamqp import decode, encode
from pamqp.common import FieldTable

from shared.transport import Message, Outgoing

METHOD, HEADER, BODY = 1, 2, 3
END = 0xCE
HEAD = Struct(">BHI")
"""Type, channel, size of the payload; the payload and one END octet follow."""

BASIC = 60
DELIVER, RETURN, ACK, NACK = (Struct(">HH").pack(BASIC, method) for method in (60, 50, 80, 120))
PUBLISH = Struct(">HHH").pack(BASIC, 40, 0)
MANDATORY = b"\x01"
PERSISTENT = b"\x02"

CONTENT = Struct(">HHQH")
"""Class, weight, size of the body, and a flag for each property that follows."""

SETTLE = Struct(">BHI4sQBB")
TAG = Struct(">Q")
LARGEST_SHORT = 255

REMEMBERED = 512
"""Addresses and names that many messages share, such as types, written once; of each at most some 500 bytes."""

CALENDAR_SECONDS = 0xFFFFFFFF
"""A timestamp beyond this (the year 2106) was written in milliseconds."""

TEXT, TABLE, OCTET, MOMENT = "text", "table", "octet", "moment"
PROPERTIES = (
    (1 << 15, "content_type", TEXT),
    (1 << 14, "content_encoding", TEXT),
    (1 << 13, "headers", TABLE),
    (1 << 12, "delivery_mode", OCTET),
    (1 << 11, "priority", OCTET),
    (1 << 10, "correlation_id", TEXT),
    (1 << 9, "reply_to", TEXT),
    (1 << 8, "expiration", TEXT),
    (1 << 7, "message_id", TEXT),
    (1 << 6, "timestamp", MOMENT),
    (1 << 5, "type", TEXT),
    (1 << 4, "user_id", TEXT),
    (1 << 3, "app_id", TEXT),
    (1 << 2, "cluster_id", TEXT),
)
"""Every property of class basic, in the order in which they travel."""

UNREADABLE = (ValueError, error, OSError, RecursionError, LookupError, TypeError, ArithmeticError)
"""What reading a header raises that holds nonsense, such as a timestamp in the year 9999999."""


class Settled(NamedTuple):
    """The broker's word on what was published to it: this tag, or everything up to it."""

    tag: int
    multiple: bool


def read_deliver(payload: bytes) -> tuple[int, bool]:
    """Return the delivery tag, and whether somebody held this delivery before."""
    at = 5 + payload[4]
    return TAG.unpack_from(payload, at)[0], bool(payload[at + 8] & 1)


def read_settled(payload: bytes) -> Settled:
    """Return what an ack or nack from the broker is about."""
    return Settled(TAG.unpack_from(payload, 4)[0], bool(payload[12] & 1))


def read_header(payload: bytes) -> tuple[int, dict[str, object]]:
    """Return the size of the body, and the properties by name.

    A header that cannot be decoded is read as having none, because the body decides what a message is; the
    library would end the session over it, have it delivered again, and end the next one.
    """
    _, _, size, flags = CONTENT.unpack_from(payload)
    try:
        return size, _properties(payload, flags)
    except UNREADABLE:
        return size, {}


def _properties(payload: bytes, flags: int) -> dict[str, object]:
    found: dict[str, object] = {}
    at = CONTENT.size
    for flag, name, kind in PROPERTIES:
        if flags & flag:
            found[name], at = _value(payload, at, kind)
    if at > len(payload):
        raise ValueError("it claims more than there is")
    return found


def _value(payload: bytes, at: int, kind: str) -> tuple[object, int]:
    """Return the value that stands at `at`, and where the next one stands."""
    if kind is TEXT:
        end = at + 1 + payload[at]
        return payload[at + 1 : end].decode(), end
    if kind is OCTET:
        return payload[at], at + 1
    if kind is MOMENT:
        return _moment(TAG.unpack(payload[at : at + 8])[0]), at + 8
    used, table = decode.field_table(payload[at:])
    return table, at + used


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds / 1000 if seconds > CALENDAR_SECONDS else seconds, UTC)


def write_publish(channel: int, outgoing: Outgoing, message_id: str, *, largest: int) -> bytes:
    """Return all frames of one mandatory, persistent message; `largest` is how much one frame may carry.

    Raises ValueError, TypeError or OverflowError for what the protocol cannot express.
    """
    body = outgoing.message.body
    header = _header(outgoing.message, message_id)
    if len(header) > largest:
        raise ValueError(f"the headers take {len(header)} bytes, one frame holds {largest}")
    frames = _method(channel, outgoing.exchange, outgoing.routing_key) + _frame(HEADER, channel, header)
    if len(body) <= largest:
        return frames + _frame(BODY, channel, body) if body else frames
    parts = (body[start : start + largest] for start in range(0, len(body), largest))
    return frames + b"".join(_frame(BODY, channel, part) for part in parts)


@lru_cache(maxsize=REMEMBERED)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    return _frame(METHOD, channel, PUBLISH + _short(exchange) + _short(routing_key) + MANDATORY)


def _header(message: Message, message_id: str) -> bytes:
    properties: tuple[tuple[int, Any, Callable[[Any], bytes]], ...] = (
        (1 << 15, message.content_type, _often),
        (1 << 13, message.headers or None, _table),
        (1 << 12, PERSISTENT, bytes),
        (1 << 10, message.correlation_id, _short),
        (1 << 7, message_id, _short),
        (1 << 6, message.time, _seconds),
        (1 << 5, message.type, _often),
        (1 << 3, message.source, _often),
    )
    flags, written = 0, []
    for flag, value, write in properties:
        if value is not None:
            flags |= flag
            written.append(write(value))
    return CONTENT.pack(BASIC, 0, len(message.body), flags) + b"".join(written)


def _table(headers: Mapping[str, object]) -> bytes:
    return encode.field_table(cast("FieldTable", dict(headers)))


def _seconds(moment: datetime) -> bytes:
    return TAG.pack(int(moment.timestamp()))


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > LARGEST_SHORT:
        raise ValueError(f"{len(encoded)} bytes where the protocol takes {LARGEST_SHORT}")
    return bytes((len(encoded),)) + encoded


@lru_cache(maxsize=REMEMBERED)
def _often(text: str) -> bytes:
    """Return what `_short` does, for text that many messages share."""
    return _short(text)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return HEAD.pack(kind, channel, len(payload)) + payload + b"\xce"


def write_ack(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """Return the frame that acks one delivery, or all up to it."""
    return SETTLE.pack(METHOD, channel, 13, ACK, tag, multiple, END)


def write_requeue(channel: int, tag: int) -> bytes:
    """Return the frame that gives one delivery back to its queue."""
    return SETTLE.pack(METHOD, channel, 13, NACK, tag, 2, END)
