"""A proxy before PostgreSQL that lets one commit through and its answer not: nobody can know what became of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from support.faultproxy import Direction, FaultProxy

COMMIT = b"COMMIT;"


@dataclass
class CommitProxy(FaultProxy):
    """Swallows every answer from the next commit on of a connection that has sent `after`, until it is healed."""

    after: bytes = b""
    fired: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: set[Any] = field(default_factory=set)

    def _cut(self, chunk: bytes, way: Direction) -> tuple[bytes, bool]:
        # Each way of each connection is carried by a task of its own.
        if self.after and way == "to_server" and self.after in chunk:
            self._seen.add(asyncio.current_task())
        if self.after and asyncio.current_task() in self._seen and COMMIT in chunk:
            self.after = b""
            self.blackhole("to_client")
            self.fired.set()
        return super()._cut(chunk, way)


@asynccontextmanager
async def commit_proxy(port: int) -> AsyncIterator[CommitProxy]:
    """Run one before the server at this port of this machine."""
    proxy = CommitProxy(target=("127.0.0.1", port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
        await server.wait_closed()
