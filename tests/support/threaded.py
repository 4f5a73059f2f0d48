"""The producer's API on a socket, in a thread with an event loop of its own: for clients that block."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from support.hashing import CHEAP

from producer_service.app import producer
from producer_service.serving import serve
from producer_service.settings import ApiSettings
from shared.backends.memory import MemoryTransport

START_SECONDS = 20.0


@contextmanager
def api_in_a_thread(settings: ApiSettings) -> Iterator[int]:
    """Serve the whole API on loopback, with passwords that cost next to nothing; give its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with producer(settings, MemoryTransport(), hasher=CHEAP) as app:
            await serve(app, host="127.0.0.1", port=port, stopping=stopping, drain_seconds=0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="api")
    thread.start()
    try:
        _wait_for(port)
        yield port
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(START_SECONDS)
        loop.close()


def _wait_for(port: int) -> None:
    """Return once somebody listens. Raises OSError when nobody does in time."""
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.02)
