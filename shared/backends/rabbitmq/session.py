"""One connection and one channel, alive together until the first sign of death, then thrown away together."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import aio_pika
import pamqp.frame
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp import commands as spec
from yarl import URL

from shared.backends.rabbitmq.wire import FrameReader, Listener
from shared.errors import BrokerUnavailable

HEARTBEAT_SECONDS = 10
"""A dead peer is noticed after (10 + 1) * 3 = 33 s; aiormq's default of 60 would take 183 s."""

PASSWORD_FILE = "password_file"  # noqa: S105 - a name, not a password
"""Of the URL's query. A password that stands in a file can be rotated without a restart of those who use it."""

OPEN_SECONDS = 10.0
CLOSE_SECONDS = 3.0

LIBRARY_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError, asyncio.CancelledError)
"""What aio-pika and aiormq raise when a connection or channel is, or becomes, unusable.

CancelledError is among them because closing a channel cancels the library's own pending calls.
"""


class Session:
    """An open connection and channel. `ended` never turns back to False."""

    def __init__(self, connection: "_Connection", wrapper: AbstractChannel, channel: UnderlayChannel) -> None:
        """Watch both for their end, and hold both strongly for as long as the session lives."""
        self._connection = connection
        self._wrapper = wrapper
        self.channel = channel
        self.reason = ""
        self._watchers: list[Callable[[], None]] = []
        connection.underlay.closing.add_done_callback(lambda closing: self.end(f"connection closed: {_why(closing)}"))
        channel.closing.add_done_callback(lambda closing: self.end(f"channel closed: {_why(closing)}"))

    @classmethod
    async def open(cls, url: str, *, name: str, confirms: bool) -> "Session":
        """Connect and open one channel. Raises BrokerUnavailable, with the broker's words but never the password.

        The password is read again from the file that `password_file` in the URL's query names, if it names one.
        """
        connection = _Connection(_with_heartbeat(_with_password(url)), client_properties={"connection_name": name})
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await connection.connect()
                channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
                await channel.initialize()
                return cls(connection, channel, await channel.get_underlay_channel())
        except LIBRARY_ERRORS as error:
            reraise_our_own_cancellation(error)
            await _close(connection)
            raise BrokerUnavailable(f"{_place(url)}: {connection.door.last_words or describe(error)}") from error

    @property
    def ended(self) -> bool:
        """Whether anything has gone wrong, or `close` was called."""
        return bool(self.reason)

    @property
    def blocked(self) -> bool:
        """Whether the broker has sent connection.blocked and not yet unblocked. An ended session waits for nobody."""
        if self.ended or self._connection.transport is None:
            return False
        waiting = self._connection.underlay.ready()
        try:
            waiting.send(None)
        except StopIteration:
            return False
        waiting.close()
        return True

    def end(self, reason: str) -> None:
        """Declare the session dead; the first reason is the one that is kept."""
        if not self.reason:
            self.reason = reason
            for watcher in tuple(self._watchers):
                watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` when the session ends, or at once if it has ended already."""
        self._watchers.append(watcher)
        if self.ended:
            watcher()

    @contextmanager
    def watched_by(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Watch for as long as this context lasts."""
        self.watch(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def listen(self, listener: Listener) -> None:
        """Let `listener` hear the frames of the channel, before it is used for the first time."""
        self._connection.door.reader.listen(self.channel.number, listener)

    async def another_channel(self) -> AbstractChannel:
        """Open a further channel on this connection, for a question whose answer may close it."""
        channel = self._connection.channel(publisher_confirms=False)
        await channel.initialize()
        return channel

    async def close(self) -> None:
        """Close politely, or cut the socket when the broker does not answer in time. Never raises."""
        self.end("closed by us")
        await _close(self._connection)


class _Door(TransportFactory):
    """Opens the socket, and keeps both its ends: to hear what passes, and to cut what cannot be closed."""

    def __init__(self, *, tls: bool) -> None:
        self._inner = TLSTransportFactory() if tls else TCPTransportFactory()
        self.writer: asyncio.StreamWriter | None = None
        self.reader: FrameReader

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self.writer = await self._inner.create(url, **kwargs)
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.reader = FrameReader(reader)
        return cast("asyncio.StreamReader", self.reader), self.writer

    @property
    def last_words(self) -> str:
        """Why the broker closed the connection; the library drops these words when it is told them while opening."""
        if self.writer is None or not self.reader.last_frame:
            return ""
        frame = pamqp.frame.unmarshal(self.reader.last_frame)[2]
        return str(frame.reply_text) if isinstance(frame, spec.Connection.Close) else ""

    def cut(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()


class _Connection(aio_pika.Connection):
    """aio-pika's plain connection, on a socket that we can cut."""

    def __init__(self, url: URL, **kwargs: Any) -> None:
        super().__init__(url, **kwargs)
        self.door = _Door(tls=url.scheme == "amqps")
        self.kwargs["transport_factory"] = self.door

    @property
    def underlay(self) -> Any:
        if self.transport is None:
            raise RuntimeError("the connection is closed")
        return self.transport.connection


async def _close(connection: _Connection) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except LIBRARY_ERRORS as error:
        reraise_our_own_cancellation(error)
    finally:
        connection.door.cut()


def reraise_our_own_cancellation(error: BaseException) -> None:
    """Tell the library's cancellation of its own calls from somebody cancelling this task."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def describe(error: BaseException) -> str:
    """Return one short line for an error of the library, which often has an empty message."""
    if isinstance(error, TimeoutError):
        return "no answer before the deadline"
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:300]


def _why(closing: "asyncio.Future[Any]") -> str:
    if closing.cancelled():
        return "cancelled"
    error = closing.exception()
    return describe(error) if error is not None else "normally"


def _with_password(url: str) -> URL:
    given = URL(url)
    path = given.query.get(PASSWORD_FILE)
    if path is None:
        return given
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BrokerUnavailable(f"{_place(url)}: the {PASSWORD_FILE} cannot be read: {why}") from None
    return given.with_password(password).without_query_params(PASSWORD_FILE)


def _with_heartbeat(given: URL) -> URL:
    return given if "heartbeat" in given.query else given.update_query(heartbeat=HEARTBEAT_SECONDS)


def _place(url: str) -> str:
    given = URL(url)
    return f"{given.host}:{given.port or (5671 if given.scheme == 'amqps' else 5672)}"
