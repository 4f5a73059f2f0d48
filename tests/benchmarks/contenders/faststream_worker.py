"""FastStream's consumer: without an inbox, with an inbox transaction a message, or that and a row of the task's own."""

import asyncio

from benchmarks.contenders.contract import Errand, Tally, read_errand
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import PeerEvent
from benchmarks.contenders.peer_inboxes import open_work
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

PREFETCH = 100


async def main(errand: Errand) -> None:
    """Consume until SIGTERM. As many messages are worked on at a time as are prefetched."""
    tally = Tally(errand)
    broker = RabbitBroker(errand.broker_url, default_channel=Channel(prefetch_count=PREFETCH), logger=None)
    async with open_work(errand) as work:

        @broker.subscriber(RabbitQueue(errand.queue, declare=False))
        async def handle(event: PeerEvent) -> None:
            tally.begin(event.id)
            await work(event)
            tally.end()

        await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
