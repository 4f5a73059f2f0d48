"""Publishing with a bounded number in the air: what a producer does that awaits every confirm and wants speed."""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.contenders.contract import mark
from benchmarks.contenders.message import Writer, events

from shared.transport import Message

IN_FLIGHT = 100


async def publish_all(count: int, write: Writer, publish: Callable[[Message], Awaitable[object]]) -> None:
    """Publish so many messages, `IN_FLIGHT` at a time. They are made before the clock starts.

    `publish` returns once its message is confirmed.
    """
    messages = iter([write(event) for event in events(count)])

    async def work() -> None:
        for message in messages:
            await publish(message)

    mark("first")
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    mark("last")


def publish_in_turn(count: int, write: Writer, publish: Callable[[Message], object]) -> None:
    """Publish so many messages one after the other, for those whose publishing blocks."""
    messages = [write(event) for event in events(count)]
    mark("first")
    for message in messages:
        publish(message)
    mark("last")
