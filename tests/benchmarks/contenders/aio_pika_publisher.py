"""Bare aio-pika publishing with confirms, persistent and mandatory, many in flight, and no outbox."""

import asyncio

import aio_pika
from benchmarks.contenders.contract import Errand, read_errand, stay
from benchmarks.contenders.in_flight import publish_all
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import as_json

from shared.topology import DOMAIN_EVENTS
from shared.transport import Message


async def main(errand: Errand) -> None:
    """Publish what is asked for."""
    async with await aio_pika.connect(errand.broker_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(DOMAIN_EVENTS.name, ensure=False)

        async def publish(message: Message) -> None:
            outgoing = aio_pika.Message(
                message.body,
                message_id=message.message_id,
                content_type=message.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(outgoing, "user.created")

        await publish_all(errand, as_json, publish)


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
    stay()
