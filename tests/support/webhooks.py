"""A real HTTP receiver on loopback that keeps what it gets and answers as it is told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HANG = -1
DROP = -2
DRIP = -3


@dataclass(frozen=True, slots=True)
class Received:
    """One request, with header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class WebhookReceiver:
    """What arrived, and what is to be answered: 204 when nothing else is scripted."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    _script: deque[tuple[int, Mapping[str, str]]] = field(default_factory=deque)
    _handlers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.port}/hooks/tidings?key=sesame"

    def answer(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        """Answer one request with this status."""
        self._script.append((status, headers or {}))

    def hang(self) -> None:
        """Never answer one request."""
        self.answer(HANG)

    def drop(self) -> None:
        """Cut the connection instead of answering one request."""
        self.answer(DROP)

    def drip(self) -> None:
        """Answer one request a byte at a time, a tenth of a second apart."""
        self.answer(DRIP)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request per connection."""
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                self.requests.append(await _read(reader))
                await self._reply(writer)
        finally:
            writer.close()
            self._handlers.discard(handler)

    async def _reply(self, writer: asyncio.StreamWriter) -> None:
        status, headers = self._script.popleft() if self._script else (204, {})
        if status == HANG:
            await asyncio.Event().wait()
        if status == DROP:
            writer.transport.abort()
            return
        answer = _answer(204 if status == DRIP else status, headers)
        for byte in answer if status == DRIP else ():
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)
        writer.write(answer)
        await writer.drain()

    async def end(self) -> None:
        """Stop whatever still hangs."""
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)


def _answer(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in {"Content-Length": "0", "Connection": "close", **headers}.items()]
    return "\r\n".join([f"HTTP/1.1 {status} .", *lines, "", ""]).encode()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    request_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = request_line.split(" ")
    return Received(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """Run a receiver on a free port."""
    receiver = WebhookReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.end()
        await server.wait_closed()
