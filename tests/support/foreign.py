"""A foreign publisher: it speaks AMQP and knows none of our rules."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiormq
from pamqp.commands import Basic

PUBLISH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Raw:
    """Any bytes, under any properties of AMQP."""

    body: bytes
    properties: dict[str, Any] = field(default_factory=dict)


async def publish_raw(url: str, messages: Iterable[Raw], *, exchange: str, key: str) -> None:
    """Publish these one after the other, and wait until the broker has confirmed each."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        for message in messages:
            properties = Basic.Properties(delivery_mode=2, **message.properties)
            await channel.basic_publish(
                message.body, exchange=exchange, routing_key=key, properties=properties, timeout=PUBLISH_SECONDS
            )
    finally:
        await connection.close()
