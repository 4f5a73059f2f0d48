"""Our worker, as `python -m consumer_service worker` builds it, but with a task of the bench.

The clock runs from the moment the first deliveries are taken to the moment the last ack is sent.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from benchmarks.contenders.contract import Errand, mark, read_errand
from benchmarks.contenders.ours_tasks import TASKS, BenchTask
from uvicorn.loops.auto import auto_loop_factory

from consumer_service.database import open_engine
from consumer_service.settings import Settings
from consumer_service.worker import Worker
from shared.backends import open_transport
from shared.contracts import Lane
from shared.logs import configure_logs
from shared.loop import pass_over_what_is_loaded
from shared.transport import Delivery, Subscription, Transport

LOOK_SECONDS = 0.002
"""How often we look whether the last delivery is settled; no more than this is added to the time."""


class ToldTakes:
    """A subscription that says how much it has brought; everything else is the subscription's own."""

    def __init__(self, subscription: Subscription, *, took: Callable[[int], None]) -> None:
        """Stand before this one."""
        self._subscription = subscription
        self._took = took

    def __getattr__(self, name: str) -> Any:
        """Be the subscription itself."""
        return getattr(self._subscription, name)

    async def take(self, most: int) -> Sequence[Delivery]:
        """Take what has arrived."""
        deliveries = await self._subscription.take(most)
        self._took(len(deliveries))
        return deliveries


class MarkingTransport:
    """A transport that marks the first deliveries of all its subscriptions, and says when all have been taken."""

    def __init__(self, transport: Transport, *, count: int) -> None:
        """Stand before this one, and wait for so many."""
        self._transport = transport
        self._missing = self._count = count
        self.all_taken = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        """Be the transport itself."""
        return getattr(self._transport, name)

    @asynccontextmanager
    async def subscribe(self, queue: str, *, prefetch: int) -> AsyncIterator[Subscription]:
        """Subscribe, and note what comes."""
        async with self._transport.subscribe(queue, prefetch=prefetch) as subscription:
            yield cast("Subscription", ToldTakes(subscription, took=self._note))

    def _note(self, count: int) -> None:
        if self._missing == self._count:
            mark("first")
        self._missing -= count
        if self._missing <= 0:
            self.all_taken.set()


async def main(errand: Errand) -> None:
    """Consume until told to stop, and mark the end once all that is asked for is settled."""
    settings = Settings(broker_url=errand.broker_url, database_url=errand.database_url, **_knobs(errand))
    configure_logs("consumer", level="WARNING", shape="json")
    transport = MarkingTransport(open_transport(errand.broker_url, name="tidings consumer"), count=errand.count)
    engine = open_engine(errand.database_url, pool_size=settings.connections_for([Lane.NORMAL]))
    task = TASKS[errand.options["task"]]()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = Worker(settings=settings, transport=cast("Transport", transport), engine=engine, tasks=(task,))
    pass_over_what_is_loaded()
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_mark_the_end(worker, transport, errand, task))
        await worker.run(stop)
        looking.cancel()
    await engine.dispose()


def _knobs(errand: Errand) -> dict[str, Any]:
    return {name: int(value) for name, value in errand.options.items() if name in {"concurrency", "prefetch"}}


async def _mark_the_end(worker: Worker, transport: MarkingTransport, errand: Errand, task: BenchTask) -> None:
    """Look at the worker's books, but only once everything was taken: a look costs as much as ten messages."""
    labels = {"queue": errand.queue, "type": "user.created", "outcome": "acked"}
    await transport.all_taken.wait()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if (worker.registry.get_sample_value("tidings_deliveries_total", labels) or 0) >= errand.count:
            mark("last", **task.numbers)
            return


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main(read_errand()))
