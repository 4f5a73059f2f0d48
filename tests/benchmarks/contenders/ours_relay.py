"""Our relay, as `python -m producer_service relay` builds it.

The clock runs from before it has opened a connection until the database says that no row is pending any more, so it
holds the first claim and the last commit, which are not the publishing that the others are measured at.
"""

import asyncio
import signal

import asyncpg
from benchmarks.contenders.contract import Errand, mark, read_errand
from uvicorn.loops.auto import auto_loop_factory

from producer_service.app import relay_alone
from producer_service.settings import Settings
from shared.backends import open_transport
from shared.logs import configure_logs

LOOK_SECONDS = 0.01
"""How often we ask whether a row is pending; no more than this is added to the time."""

ANSWER_SECONDS = 30

ANY_PENDING = "SELECT EXISTS (SELECT 1 FROM outbox WHERE status = 'pending')"


async def main(errand: Errand) -> None:
    """Relay until told to stop, and mark the end once nothing is pending."""
    settings = Settings(broker_url=errand.broker_url, database_url=errand.database_url)
    configure_logs("producer", level="WARNING", shape="json")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    transport = open_transport(errand.broker_url, name="tidings producer")
    mark("first")
    async with relay_alone(settings, transport):
        await _mark_the_end(errand)
        await stop.wait()


async def _mark_the_end(errand: Errand) -> None:
    connection = await asyncpg.connect(errand.database_url, timeout=ANSWER_SECONDS, command_timeout=ANSWER_SECONDS)
    while True:
        if not await connection.fetchval(ANY_PENDING):
            mark("last")
            break
        await asyncio.sleep(LOOK_SECONDS)
    await connection.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:
        loop.run(main(read_errand()))
