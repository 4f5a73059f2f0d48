"""The line in which deliveries wait between two stages of their way."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """First in, first out. Whoever takes may get all that has come, so that many can share one transaction."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: deque[T] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, *waiting: T) -> None:
        """Add these at the end, in this order."""
        self._waiting.extend(waiting)
        self._wake(len(waiting))

    async def take(self, most: int) -> list[T]:
        """Wait for at least one, then return what is there, at most `most`. Cancelling this loses nothing.

        Raises CancelledError also in a task whose cancellation was swallowed by what it called before.
        """
        _insist_on_cancellation()
        while not self._waiting:
            await self._news()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    async def take_alike(self, kind: Callable[[T], Hashable | None], most: Callable[[T], int]) -> list[T]:
        """Wait for one, then return it with those directly behind it that are of its kind, as many as `most` says.

        None is the kind of what goes alone. Cancelling this loses nothing.
        """
        (first,) = taken = await self.take(1)
        wanted = kind(first)
        if wanted is not None:
            room = most(first)
            while len(taken) < room and self._waiting and kind(self._waiting[0]) == wanted:
                taken.append(self._waiting.popleft())
        return taken

    def clear(self) -> list[T]:
        """Return all that is there, without waiting."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    async def _news(self) -> None:
        taker = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        try:
            await taker
        except asyncio.CancelledError:
            if taker.cancelled():
                self._takers.remove(taker)
            else:
                self._wake(1)  # It was woken for something that it will not take any more.
            raise

    def _wake(self, count: int) -> None:
        for _ in range(min(count, len(self._takers))):
            self._takers.popleft().set_result(None)


def _insist_on_cancellation() -> None:
    """End a task that was told to end and did not hear it, or it would wait here for ever, and its process with it.

    Whatever a task calls may swallow a cancellation. Before Python 3.12 `asyncio.wait_for` does, and libraries with it,
    when what it waits for has come at the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
