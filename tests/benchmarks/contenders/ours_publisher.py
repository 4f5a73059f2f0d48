"""Our publisher alone, without an outbox: the same batches that the relay publishes."""

import asyncio
from itertools import islice

from benchmarks.contenders.contract import Errand, mark, read_errand, stay
from benchmarks.contenders.message import as_ours, events
from uvicorn.loops.auto import auto_loop_factory

from shared.backends import open_transport
from shared.topology import DOMAIN_EVENTS
from shared.transport import Fate, Outgoing

BATCH = 500


async def main(errand: Errand) -> None:
    """Publish what is asked for. Raises RuntimeError if the broker does not confirm every message."""
    made = [Outgoing(DOMAIN_EVENTS.name, event.type, as_ours(event)) for event in events(errand.count)]
    waiting = iter(made)
    async with open_transport(errand.broker_url, name="tidings producer").publisher() as publisher:
        mark("first")
        while batch := list(islice(waiting, BATCH)):
            receipts = await publisher.publish(batch)
            if any(receipt.fate is not Fate.CONFIRMED for receipt in receipts):
                raise RuntimeError("the broker did not confirm every message")
        mark("last")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
    stay()
