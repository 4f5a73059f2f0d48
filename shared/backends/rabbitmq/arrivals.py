"""From frames to messages: what a consumer's channel brings."""

from collections.abc import Callable
from typing import Any

from shared.backends.rabbitmq.frames import DELIVER, HEADER, METHOD, read_deliver, read_header
from shared.backends.rabbitmq.headers import kept, last_death
from shared.transport import Message

Arrived = Callable[[int, bool, Message], None]
"""Takes a delivery tag, whether it is a redelivery, and the message."""


class Arrivals:
    """Puts each delivery together: a method frame, a header frame, and as many body frames as its size takes."""

    def __init__(self, arrived: Arrived) -> None:
        """Call `arrived` with each message that is whole, in the order in which they came."""
        self._arrived = arrived
        self._is_open = False
        self._tag, self._redelivered = 0, False
        self._properties: dict[str, Any] = {}
        self._body: list[bytes] = []
        self._missing = 0

    def hear(self, kind: int, payload: bytes) -> bool:
        """Take what belongs to a delivery, and leave everything else: see `wire.Listener`."""
        if kind == METHOD:
            if not payload.startswith(DELIVER):
                return False
            self._tag, self._redelivered = read_deliver(payload)
            self._is_open = True
            return True
        if not self._is_open:
            return False
        if kind == HEADER:
            self._missing, self._properties = read_header(payload)
        else:
            self._body.append(payload)
            self._missing -= len(payload)
        if self._missing <= 0:
            self._complete()
        return True

    def _complete(self) -> None:
        body, self._body, self._is_open = b"".join(self._body), [], False
        self._arrived(self._tag, self._redelivered, _message(body, self._properties))


def _message(body: bytes, properties: dict[str, Any]) -> Message:
    get = properties.get
    headers = get("headers")
    return Message(
        body=body,
        content_type=get("content_type"),
        message_id=get("message_id"),
        type=get("type"),
        source=get("app_id"),
        correlation_id=get("correlation_id"),
        time=get("timestamp"),
        headers=kept(headers) if headers else {},
        death=last_death(headers) if headers else None,
    )
