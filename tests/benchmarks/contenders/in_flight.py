"""Publishing, at full speed with a bounded number in the air, or at the pace of an errand."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

from benchmarks.contenders.contract import Errand, mark
from benchmarks.contenders.message import Writer, events

from shared.transport import Message

IN_FLIGHT = 100

Publish = Callable[[Message], Awaitable[object]]


async def publish_all(errand: Errand, write: Writer, publish: Publish) -> None:
    """Publish what the errand asks for. `publish` returns once its message is confirmed.

    The messages are made before the clock starts. With a `rate` among the errand's options that many are sent each
    second, whether or not the ones before have been confirmed, and the last mark says when each was sent.
    """
    messages = [write(event) for event in events(errand.count)]
    mark("first")
    if "rate" in errand.options:
        sent: dict[str, float] = {}

        async def send(message: Message) -> None:
            sent[message.message_id or ""] = monotonic()
            await publish(message)

        await at_pace(float(errand.options["rate"]), [partial(send, message) for message in messages])
        mark("last", clocks=sent)
    else:
        await _in_flight(iter(messages), publish)
        mark("last")


async def at_pace(rate: float, sends: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Begin `rate` of these a second, however long each takes, and wait for all of them: an open loop.

    A loop that waited for each would send less while things are slow, and so hide how slow they are.
    """
    start = monotonic()
    async with asyncio.TaskGroup() as group:
        for number, send in enumerate(sends):
            await asyncio.sleep(max(0.0, start + number / rate - monotonic()))
            group.create_task(send())


async def _in_flight(messages: Iterator[Message], publish: Publish) -> None:
    async def work() -> None:
        for message in messages:
            await publish(message)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


def publish_in_turn(count: int, write: Writer, publish: Callable[[Message], object]) -> None:
    """Publish so many messages one after the other, for those whose publishing blocks."""
    messages = [write(event) for event in events(count)]
    mark("first")
    for message in messages:
        publish(message)
    mark("last")
