"""How an app is served until the process is told to stop: first unready, then closed, then gone."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

REQUESTS_SECONDS = 20
"""How long requests in progress may take after the listener is closed."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle. Longer than proxies (60) and clients (5 and more) leave it so: who closes first is
to be the one who sends, or a request is on its way to a connection that has just been closed."""


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which would end the process before the relay had finished its batch."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve(app: FastAPI, *, host: str, port: int, stopping: asyncio.Event, drain_seconds: float) -> None:
    """Serve until `stopping` is set and `drain_seconds` have passed; then finish the requests in progress.

    Exits the process with uvicorn's code 3 when the port cannot be had.
    """
    server = Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=REQUESTS_SECONDS,
        )
    )
    closing = asyncio.create_task(_close_when(server, stopping, drain_seconds))
    try:
        await server.serve()
    finally:
        closing.cancel()


async def _close_when(server: Server, stopping: asyncio.Event, drain_seconds: float) -> None:
    await stopping.wait()
    await asyncio.sleep(drain_seconds)
    server.should_exit = True


@contextmanager
def stopped_by_signals(stopping: asyncio.Event) -> Iterator[None]:
    """Set `stopping` on the first SIGTERM or SIGINT. A second one has its usual effect."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(_number: int, _frame: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stopping.set)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
