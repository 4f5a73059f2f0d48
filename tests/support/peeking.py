"""Looking into queues over AMQP without taking anything away."""

from collections.abc import Mapping, Sequence
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

PEEK_SECONDS = 15.0


async def depths(url: str, queues: Sequence[str]) -> Mapping[str, int]:
    """Return how many messages are ready in each of these queues; what a consumer holds is not counted."""
    async with await aio_pika.connect(url, timeout=PEEK_SECONDS) as connection:
        channel = await connection.channel()
        declared = [await channel.declare_queue(name, passive=True, timeout=PEEK_SECONDS) for name in queues]
    return {queue.name: queue.declaration_result.message_count or 0 for queue in declared}


async def peek(url: str, queue: str) -> list[AbstractIncomingMessage]:
    """Return everything that is ready in a queue; the broker takes it back when this has returned."""
    found = []
    async with await aio_pika.connect(url, timeout=PEEK_SECONDS) as connection:
        channel = await connection.channel()
        line = await channel.get_queue(queue, ensure=False)
        while (message := await line.get(fail=False, timeout=PEEK_SECONDS)) is not None:
            found.append(message)
    return found


def header(message: AbstractIncomingMessage, name: str) -> Any:
    """Return one of a message's headers, or nothing."""
    return message.headers.get(name)


async def witness(url: str) -> str:
    """Declare a queue that hears of every new user and that nobody consumes; return its name."""
    async with await aio_pika.connect(url, timeout=PEEK_SECONDS) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("witness", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("domain.events", "user.created")
    return "witness"


async def ids_in(url: str, queue: str) -> list[str]:
    """Return the ids of the messages that are ready in a queue, in their order."""
    return [message.message_id or "" for message in await peek(url, queue)]
