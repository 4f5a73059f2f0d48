"""HTTP by hand, for requests that no client library would send."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

ANSWER_SECONDS = 60.0


def a_post(path: str, body: Any, *, declared: int | None = None, chunked: bool = False) -> tuple[bytes, bytes]:
    """Return the head and the body of a request with JSON in it; `declared` is a length other than the true one."""
    payload = json.dumps(body).encode()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {declared or len(payload)}"
    head = f"POST {path} HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    return head.encode(), payload


class RawConnection:
    """One TCP connection to an HTTP server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take both ends of it."""
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send these, as fast as the other side reads. Raises ConnectionError once it has hung up."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def status(self) -> int:
        """Wait for the answer, and return its status; 0 when the connection ends without one."""
        async with asyncio.timeout(ANSWER_SECONDS):
            with suppress(ConnectionError):
                line = await self._reader.readline()
                return int(line.split()[1]) if line else 0
        return 0

    def abort(self) -> None:
        """Be gone at once, as a client is that crashed."""
        self._writer.transport.abort()


@asynccontextmanager
async def raw_connection(port: int) -> AsyncIterator[RawConnection]:
    """Connect to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = RawConnection(reader, writer)
    try:
        yield connection
    finally:
        connection.abort()
