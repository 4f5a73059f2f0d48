"""Keeping the parts of a process running: the relays, the timer, the scheduler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from producer_service.backoff import Backoff
from producer_service.relay import wait_first_of

STOP_SECONDS = 30.0
"""Longer than the relay's longest batch, so that it is cut off only when something else is wrong as well."""

CANCEL_SECONDS = 5.0
RESTART = Backoff(first=1.0, most=30.0, least=0.5)


class Running(Protocol):
    """What does its work until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        ...


@asynccontextmanager
async def kept_running(**parts: Running) -> AsyncIterator[None]:
    """Keep these running while this context lasts; then let each finish what it has in hand."""
    stop = asyncio.Event()
    running = {asyncio.create_task(keep_running(part, stop, name=name)) for name, part in parts.items()}
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait(running, timeout=STOP_SECONDS)
        for each in running:
            each.cancel()
        await asyncio.wait(running, timeout=CANCEL_SECONDS)


async def keep_running(part: Running, stop: asyncio.Event, *, name: str = "relay", restart: Backoff = RESTART) -> None:
    """Run this until `stop` is set. Should it end by an error that nobody foresaw, log it and run it again."""
    crashes = 0
    while not stop.is_set():
        (ended,) = await asyncio.gather(part.run(stop), return_exceptions=True)
        if ended is not None:
            crashes += 1
            structlog.get_logger().error(f"{name}.crashed", crashes=crashes, exc_info=ended)
            await wait_first_of([stop], within=restart.ceiling(crashes))
