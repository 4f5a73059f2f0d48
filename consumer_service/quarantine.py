"""Lets a suspect run when nothing else runs in this process, so that if it kills the process it kills nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Quarantine:
    """Counts what runs in this process, across all its queues."""

    def __init__(self) -> None:
        """Start idle and open."""
        self._running = 0
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._one_at_a_time = asyncio.Lock()

    async def enter(self, count: int) -> None:
        """Wait until no suspect is running or waiting to run, then count this many as running."""
        # Asked again on waking: the next suspect may have closed the door since it was opened.
        while not self._open.is_set():
            await self._open.wait()
        self._running += count
        if self._running:
            self._idle.clear()

    def leave(self, count: int) -> None:
        """Count this many as finished."""
        self._running -= count
        if not self._running:
            self._idle.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Let nobody in, wait until everybody is out, and hold the door for as long as this context lasts."""
        async with self._one_at_a_time:
            # Those who wait at the door enter first, or a row of suspects would keep them out to its end.
            await asyncio.sleep(0)
            self._open.clear()
            try:
                await self._idle.wait()
                yield
            finally:
                self._open.set()
