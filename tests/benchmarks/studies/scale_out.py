"""How much faster two and four workers are than one, at tasks that wait: whether anything but the waiting is shared."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic

import psutil
from benchmarks.books import (
    QUEUE,
    BooksDoNotBalance,
    count_rows,
    declare,
    fill_queue,
    prepare_consumer_database,
    ready_messages,
    wait_for_consumers,
)
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.contenders.message import as_ours
from benchmarks.contenders.ours_tasks import WAIT_SECONDS
from benchmarks.contenders.roster import HERE
from benchmarks.measuring import MEGABYTE, cpu_of, start
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place

NAME = "scale-out"
CONCURRENCY = 8
"""The product's default: tasks at a time in one worker."""

SETTLING_SECONDS = 2.0
"""Between the moment all consume and the first count."""

SPARE = 1.5
"""The queue is filled with this many times what could be done, so that nobody ever waits for a message."""


@dataclass(frozen=True, slots=True)
class Crew:
    """So many workers on one queue."""

    workers: int

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.workers} worker{'s' * (self.workers > 1)}"

    def most_tasks(self, seconds: float) -> int:
        """Return how many tasks they could do at the very most."""
        return int(self.workers * CONCURRENCY * seconds / WAIT_SECONDS)


CREWS = (Crew(1), Crew(2), Crew(4))


async def study(run: Run) -> None:
    """Let one, two and four workers work, round by round."""
    await run.rounds(NAME, CREWS, work)


async def work(run: Run, crew: Crew, place: Place) -> Numbers:
    """Count what a crew gets done in a stretch of time in which the queue is never empty."""
    seconds = run.scale.waiting_seconds
    await declare(place.broker_url)
    await prepare_consumer_database(place.database_url)
    count = int(SPARE * crew.most_tasks(seconds + SETTLING_SECONDS)) + 1000
    await fill_queue(place.broker_url, count, as_ours)
    options = {"task": "waiting", "concurrency": str(CONCURRENCY)}
    environment = as_environment(Errand(place.broker_url, place.database_url, count, QUEUE, options))
    async with AsyncExitStack() as leaving:
        workers = []
        for number in range(crew.workers):
            name = f"{crew.name}, {number + 1}"
            child = await start((f"{HERE}.ours_worker",), environment, name=name, folder=run.folder)
            leaving.push_async_callback(child.leave)
            workers.append(child.seen)
        await wait_for_consumers(place.broker_url, crew.workers)
        await asyncio.sleep(SETTLING_SECONDS)
        numbers = await _counted(place, workers, seconds)
    if not await ready_messages(place.broker_url):
        raise BooksDoNotBalance(f"{crew.name}: the queue ran empty, so the rate means nothing")
    return numbers


async def _counted(place: Place, workers: list[psutil.Process], seconds: float) -> Numbers:
    before, begun = await count_rows(place.database_url, "inbox", "status = 'done'"), monotonic()
    cpu = sum(cpu_of(worker) or 0.0 for worker in workers)
    await asyncio.sleep(seconds)
    done, took = await count_rows(place.database_url, "inbox", "status = 'done'") - before, monotonic() - begun
    cpu = sum(cpu_of(worker) or 0.0 for worker in workers) - cpu
    resident = sum(worker.memory_info().rss for worker in workers) / MEGABYTE
    return {"per_second": done / took, "client_cpu": 1000 * cpu / max(done, 1), "megabytes": resident}
