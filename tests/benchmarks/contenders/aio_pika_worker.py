"""Bare aio-pika: a plain connection, a callback, a parsed event, an ack each. What a careful hand would write."""

import asyncio
import signal

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from benchmarks.contenders.contract import Errand, Tally, read_errand
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import PeerEvent

PREFETCH = 500


async def main(errand: Errand) -> None:
    """Consume until SIGTERM."""
    stop, tally = asyncio.Event(), Tally(errand)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(message: AbstractIncomingMessage) -> None:
        tally.begin(message.message_id or "")
        PeerEvent.model_validate_json(message.body)
        await message.ack()
        tally.end()

    async with await aio_pika.connect(errand.broker_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.get_queue(errand.queue, ensure=False)
        await queue.consume(handle)
        await stop.wait()


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
