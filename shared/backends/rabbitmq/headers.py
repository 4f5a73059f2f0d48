"""Which headers of a foreign message are carried on: what can be written again, fits, and does not steer the broker."""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite

from shared.transport import BrokerDeath

BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "CC", "BCC")
"""Headers that steer the broker. Not copied onto a message we publish again (a copied x-death looks like a cycle)."""

MOST_HEADERS = 64

DEEPEST_HEADER = 8

LARGEST_HEADERS = 32 * 1024
"""Bytes. All headers travel in one frame, which holds 128 KiB; what we add when we move a message needs room."""

LARGEST_FLOAT = 3.4e38
"""pamqp reads floats of eight bytes, and writes four, which hold no more."""


def kept(headers: Mapping[str, object]) -> dict[str, object]:
    """Keep what can be written again and fits into one frame with our notes beside it.

    Ours and the CloudEvents attributes come first, so that a message with a thousand headers keeps those that count.
    """
    ours_first = sorted(headers, key=lambda name: not name.startswith(("tidings-", "ce-", "cloudEvents")))
    carried: dict[str, object] = {}
    room = LARGEST_HEADERS
    for name in [name for name in ours_first if not name.startswith(BROKERS_OWN)][:MOST_HEADERS]:
        value = _writable(headers[name])
        size = len(name.encode()) + len(repr(value).encode())
        if size <= room:
            carried[name], room = value, room - size
    return carried


def last_death(headers: Mapping[str, object]) -> BrokerDeath | None:
    """Return what the newest entry of `x-death` tells, which comes first; None when there is none that makes sense."""
    match headers.get("x-death"):
        case [{"reason": str(reason), "queue": str(queue), **rest}, *_]:
            when = rest.get("time")
            return BrokerDeath(reason, queue, when if isinstance(when, datetime) else None)
        case _:
            return None


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
        case float() if isfinite(value) and abs(value) > LARGEST_FLOAT:
            return str(value)
        case _:
            return value
