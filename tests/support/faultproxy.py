"""A TCP proxy on loopback that does to a connection what networks do: delay it, starve it, swallow it, cut it."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["to_server", "to_client"]

CHUNK = 16 * 1024


@dataclass
class FaultProxy:
    """Carries connections to one server. What is set here holds for open connections as well as new ones."""

    target: tuple[str, int]
    port: int = 0
    latency: float = 0.0
    """Seconds that every chunk is held back, each way."""
    bytes_per_second: float = 0.0
    """0 means as fast as it goes."""
    refusing: bool = False
    """New connections are cut at once; open ones live on."""
    swallowing: set[Direction] = field(default_factory=set)
    """Directions in which everything is taken and nothing arrives: a black hole."""
    cut_after: int | None = None
    """Cut every connection once this many more bytes have gone to the client, in the middle of a frame if need be."""
    attempts: int = 0
    """How many connections were asked for, also while none was given."""
    carried: dict[Direction, int] = field(default_factory=lambda: {"to_server": 0, "to_client": 0})
    _open: set["_Connection"] = field(default_factory=set)

    def blackhole(self, *directions: Direction) -> None:
        """Swallow in these directions; in both when none is named."""
        self.swallowing = set(directions or ("to_server", "to_client"))

    def heal(self) -> None:
        """Behave again. What was swallowed stays lost, so connections that lost something are cut."""
        swallowed = bool(self.swallowing)
        self.latency = self.bytes_per_second = 0.0
        self.refusing, self.swallowing, self.cut_after = False, set(), None
        if swallowed:
            self.reset()

    def reset(self) -> None:
        """Cut every open connection with a reset, as a crashed host or an angry firewall does."""
        for connection in tuple(self._open):
            connection.reset()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side is done with it."""
        self.attempts += 1
        if self.refusing:
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, server_writer)
        self._open.add(connection)
        try:
            await asyncio.gather(
                self._carry(connection, reader, server_writer, "to_server"),
                self._carry(connection, server_reader, writer, "to_client"),
            )
        finally:
            self._open.discard(connection)
            connection.close()

    async def _carry(
        self, connection: "_Connection", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction
    ) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while chunk := await reader.read(CHUNK):
                await self._hold_back(len(chunk))
                if way in self.swallowing:
                    continue
                chunk, cut = self._cut(chunk, way)
                self.carried[way] += len(chunk)
                writer.write(chunk)
                await writer.drain()
                if cut:
                    connection.reset()
                    return
        if way not in self.swallowing:
            connection.close()

    async def _hold_back(self, size: int) -> None:
        wait = self.latency + (size / self.bytes_per_second if self.bytes_per_second else 0.0)
        if wait:
            await asyncio.sleep(wait)

    def _cut(self, chunk: bytes, way: Direction) -> tuple[bytes, bool]:
        if way != "to_client" or self.cut_after is None:
            return chunk, False
        allowed, self.cut_after = self.cut_after, self.cut_after - len(chunk)
        if allowed > len(chunk):
            return chunk, False
        self.cut_after = None
        return chunk[: max(allowed, 0)], True


class _Connection:
    """Both halves of one carried connection."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: linger for zero seconds."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """Run a proxy before a server, on a free port of its own, until the context is left.

    With `tls` it is where encryption ends: what it carries on to the server is in the clear.
    """
    proxy = FaultProxy(target=(host, port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
        await server.wait_closed()
