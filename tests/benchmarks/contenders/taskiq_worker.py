"""Taskiq's receiver in one process, with its default of a hundred tasks at once and an ack after each."""

import asyncio
import signal

from benchmarks.contenders.contract import Errand, Tally, read_errand
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import TASK, PeerEvent
from benchmarks.contenders.taskiq_app import open_broker
from taskiq.api import run_receiver_task


async def main(errand: Errand) -> None:
    """Consume until SIGTERM."""
    broker, tally, stop = open_broker(errand), Tally(errand), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    @broker.task(task_name=TASK)
    async def work(_event: PeerEvent) -> None:
        tally.begin()
        tally.end()

    broker.is_worker_process = True
    await broker.startup()
    receiving = asyncio.create_task(run_receiver_task(broker))
    await stop.wait()
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await broker.shutdown()


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
