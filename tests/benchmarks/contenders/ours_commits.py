"""Our unit of work with a relay in the same process, as the API has it: commits at a pace, and says when.

A message's clock is read when its commit has returned.
"""

import asyncio
import signal
from functools import partial
from time import monotonic

from benchmarks.contenders.contract import Errand, mark, read_errand
from benchmarks.contenders.in_flight import at_pace
from benchmarks.contenders.message import events
from benchmarks.contenders.ours_producer import producing
from uvicorn.loops.auto import auto_loop_factory

from producer_service.unit_of_work import Travel
from shared.events import UserCreated
from shared.logs import configure_logs
from shared.loop import pass_over_what_is_loaded


async def main(errand: Errand) -> None:
    """Commit what is asked for while the relay publishes it, which it goes on doing until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    configure_logs("producer", level="WARNING", shape="json")
    committed: dict[str, float] = {}
    async with producing(errand) as parts:

        async def commit(event: UserCreated) -> None:
            async with parts.unit_of_work(Travel()) as unit:
                message_id = unit.record(event)
                await unit.commit()
                committed[message_id] = monotonic()

        data = [event.data for event in events(errand.count)]
        pass_over_what_is_loaded()
        mark("first")
        await at_pace(float(errand.options["rate"]), [partial(commit, each) for each in data])
        mark("last", clocks=committed)
        await stop.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
