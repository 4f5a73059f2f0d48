"""The line in which deliveries wait between two stages of their way."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """First in, first out. Whoever takes gets all that has come, so that many can share one transaction."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: asyncio.Queue[T] = asyncio.Queue()

    def put(self, waiting: T) -> None:
        """Add one at the end."""
        self._waiting.put_nowait(waiting)

    async def take(self, most: int) -> list[T]:
        """Wait for at least one, then return what is there, at most `most`. Cancelling this loses nothing."""
        return [await self._waiting.get(), *self._all(most - 1)]

    def clear(self) -> list[T]:
        """Return all that is there, without waiting."""
        return self._all(self._waiting.qsize())

    def _all(self, most: int) -> list[T]:
        return [self._waiting.get_nowait() for _ in range(min(most, self._waiting.qsize()))]
