"""Whether a worker's memory stays where it is while it consumes: the more it has done, the less it may have kept."""

import asyncio
from dataclasses import dataclass

from benchmarks.books import QUEUE, declare, fill_queue, prepare_consumer_database
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.contenders.message import as_ours
from benchmarks.contenders.roster import HERE
from benchmarks.measuring import Child, resident_megabytes, start
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place

NAME = "memory"
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of ours that holds so many deliveries."""

    prefetch: int

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"ours, prefetch {self.prefetch}"


async def study(run: Run) -> None:
    """Once is enough: memory has no quiet minutes."""
    await run.once(NAME, Worker(500), consume)


async def consume(run: Run, worker: Worker, place: Place) -> Numbers:
    """Consume a long queue, and look at the worker's memory all the while."""
    count = run.scale.memory_messages
    await declare(place.broker_url)
    await prepare_consumer_database(place.database_url)
    await fill_queue(place.broker_url, count, as_ours)
    options = {"task": "nothing", "prefetch": str(worker.prefetch), "concurrency": "16"}
    environment = as_environment(Errand(place.broker_url, place.database_url, count, QUEUE, options))
    child = await start((f"{HERE}.ours_worker",), environment, name=worker.name, folder=run.folder)
    try:
        await child.mark("first")
        samples = await _sampled(child)
    finally:
        await child.leave()
    return {**growth(samples), "messages": count}


async def _sampled(child: Child) -> list[float]:
    samples: list[float] = []
    last = asyncio.create_task(child.mark("last"))
    while not last.done():
        samples.append(resident_megabytes(child.seen))
        await asyncio.wait({last}, timeout=SAMPLE_SECONDS)
    await last
    return samples


def growth(samples: list[float]) -> Numbers:
    """Return megabytes after the first tenth, when everything is loaded, and at the end; and how much came between.

    Each is the most of a tenth of the samples, because a number taken at one moment is luck. Pure.
    """
    tenth = max(len(samples) // 10, 1)
    early, late = max(samples[tenth : 2 * tenth] or samples), max(samples[-tenth:])
    return {"early_megabytes": early, "late_megabytes": late, "growth_megabytes": late - early}
