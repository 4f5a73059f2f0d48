"""FastStream publishing with confirms, persistent and mandatory, many in flight, and no outbox."""

import asyncio

from benchmarks.contenders.contract import Errand, read_errand, stay
from benchmarks.contenders.in_flight import publish_all
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import as_json
from faststream.rabbit import RabbitBroker, RabbitExchange

from shared.topology import DOMAIN_EVENTS
from shared.transport import Message


async def main(errand: Errand) -> None:
    """Publish what is asked for. The bodies are final bytes, as an outbox would hold them."""
    broker = RabbitBroker(errand.broker_url, logger=None)
    exchange = RabbitExchange(DOMAIN_EVENTS.name, declare=False)

    async def publish(message: Message) -> None:
        await broker.publish(
            message.body,
            exchange=exchange,
            routing_key="user.created",
            persist=True,
            message_id=message.message_id,
            content_type=message.content_type,
        )

    async with broker:
        await publish_all(errand, as_json, publish)


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
    stay()
