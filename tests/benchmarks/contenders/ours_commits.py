"""Our unit of work with a relay in the same process, as the API has it: commits at a pace, and says when.

A message's clock is read when its commit has returned.
"""

import asyncio
from datetime import timedelta
from time import monotonic

from benchmarks.contenders.contract import Errand, mark, read_errand
from benchmarks.contenders.in_flight import at_pace
from benchmarks.contenders.message import events
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import async_sessionmaker
from uvicorn.loops.auto import auto_loop_factory

from producer_service.claims import Claims
from producer_service.database import open_engine
from producer_service.metrics import Metrics
from producer_service.outbox import Outbox
from producer_service.relay import Pace, Relay
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.backends import open_transport
from shared.events import UserCreated
from shared.logs import configure_logs

KEPT = timedelta(days=7)


async def main(errand: Errand) -> None:
    """Commit what is asked for while the relay publishes it."""
    configure_logs("producer", level="WARNING", shape="json")
    engine, wake, stop = open_engine(errand.database_url), asyncio.Event(), asyncio.Event()
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    committed: dict[str, float] = {}

    async def commit(event: UserCreated) -> None:
        unit = UnitOfWork(sessions=sessions, source="/tidings/bench", travel=Travel(), committed=wake.set)
        async with unit:
            message_id = unit.record(event)
            await unit.commit()
            committed[message_id] = monotonic()

    async with open_transport(errand.broker_url, name="tidings producer").publisher() as publisher:
        relay = Relay(
            outbox=Outbox(engine),
            claims=Claims(engine),
            publisher=publisher,
            metrics=Metrics(CollectorRegistry()),
            wake=wake,
            retention=KEPT,
            pace=Pace(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run(stop))
            data = [event.data for event in events(errand.count)]
            mark("first")
            await at_pace(float(errand.options["rate"]), [lambda each=each: commit(each) for each in data])
            mark("last", clocks=committed)
            stop.set()
            wake.set()
    await engine.dispose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
