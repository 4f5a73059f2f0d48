"""Between the socket and the library: the only module that touches what lies beneath aio-pika.

The library opens the connection, speaks of channels, queues and heartbeats, and writes. Frames that carry messages and
confirms go past it, to whoever listens on their channel, because its way of a queue and a task for each of them costs
more than everything we do with a message. It relies on aiormq 7.2's reader (`readexactly`, `read`, `at_eof`) and on its
channel's `number`, `lock`, `max_content_size` and `write_queue`; `tests/transports/test_wire.py` pins the version, so
that an upgrade is read before it is trusted.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from aiormq.abc import ChannelFrame

from shared.backends.rabbitmq.frames import END, HEAD

CHUNK = 256 * 1024
"""Bytes. More than asyncio buffers, so that one read takes all that has come, and the next one lets others run."""

GREETING = b"AMQP"
GREETING_SIZE = 8
"""A broker that speaks another version answers with its protocol header, which is no frame."""

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
SIGN_OF_LIFE_SECONDS = 1.0
"""The library takes a connection on which it sees no frame for dead; so now and then it is shown one."""


class Listener(Protocol):
    """Whoever wants the frames of one channel before the library sees them."""

    def hear(self, kind: int, payload: bytes) -> bool:
        """Take this frame, or return False to leave it to the library. Must neither block nor raise."""
        ...


class FrameReader:
    """Stands where the library expects a stream, and hands it one whole frame at a time: those nobody else took."""

    def __init__(self, stream: asyncio.StreamReader, *, clock: Callable[[], float] = monotonic) -> None:
        """Read from this stream. `clock` tells seconds."""
        self._stream = stream
        self._clock = clock
        self._listeners: dict[int, Listener] = {}
        self._buffer = b""
        self._at = 0
        self._frame = b""
        self._last_handed = clock()
        self.last_frame = b""
        """What the library was handed last, whole."""

    def listen(self, channel: int, listener: Listener) -> None:
        """Offer the frames of this channel to `listener` first. Nothing may be under way on the channel yet."""
        self._listeners[channel] = listener

    def at_eof(self) -> bool:
        """Whether nothing more will come."""
        return not self._frame and self._at == len(self._buffer) and self._stream.at_eof()

    async def read(self, most: int = -1) -> bytes:
        """Return what is left of the frame, or the stream."""
        left, self._frame = self._frame, b""
        return left or await self._stream.read(most)

    async def readexactly(self, count: int) -> bytes:
        """Return the next bytes of the frame; raises IncompleteReadError when the stream ends inside one."""
        if not self._frame:
            self._frame = self.last_frame = await self._next_frame()
            self._last_handed = self._clock()
        part, self._frame = self._frame[:count], self._frame[count:]
        return part

    async def _next_frame(self) -> bytes:
        """Return the next frame that is the library's; meanwhile, listeners get theirs."""
        while True:
            frame = self._cut()
            if frame:
                return frame
            if self._listeners and self._clock() - self._last_handed > SIGN_OF_LIFE_SECONDS:
                await self._fill()
                return HEARTBEAT
            await self._fill()

    def _cut(self) -> bytes:
        """Give listeners what is theirs, up to the first frame that is not; nothing when more must come first."""
        buffer, at = self._buffer, self._at
        whole = len(buffer)
        while whole - at >= GREETING_SIZE:
            kind, channel, size = HEAD.unpack_from(buffer, at)
            end = at + HEAD.size + size + 1
            if buffer.startswith(GREETING, at):
                end = at + GREETING_SIZE
            if end > whole:
                break
            listener = self._listeners.get(channel)
            if listener is None or not listener.hear(kind, _payload(buffer, at, end)):
                self._at = end
                return buffer[at:end]
            at = end
        self._at = at
        return b""

    async def _fill(self) -> None:
        chunk = await self._stream.read(CHUNK)
        left = self._buffer[self._at :]
        if not chunk:
            raise asyncio.IncompleteReadError(left, None)
        self._buffer, self._at = left + chunk, 0


def _payload(buffer: bytes, at: int, end: int) -> bytes:
    """Return what stands between a frame's head and its end. Raises ConnectionError when there is no end."""
    if buffer[end - 1] != END:
        raise ConnectionError("a frame does not end where it should")
    return buffer[at + HEAD.size : end - 1]


async def write(channel: Any, payload: bytes) -> None:
    """Write these frames to the socket in one go; return when it has taken them. The writer's order is the callers'."""
    if payload:
        drained = asyncio.get_running_loop().create_future()
        await channel.write_queue.put(ChannelFrame(payload, should_close=False, drain_future=drained))
        await drained
