"""Taskiq kicking tasks with confirms, many in flight."""

import asyncio
import json

from benchmarks.contenders.contract import Errand, read_errand, stay
from benchmarks.contenders.in_flight import publish_all
from benchmarks.contenders.loops import runner
from benchmarks.contenders.message import TASK, as_json
from benchmarks.contenders.taskiq_app import open_broker

from shared.transport import Message


async def main(errand: Errand) -> None:
    """Kick what is asked for."""
    broker = open_broker(errand)

    @broker.task(task_name=TASK)
    async def work(_event: object) -> None:
        """Never run here."""

    async def publish(message: Message) -> None:
        await work.kiq(json.loads(message.body))

    await broker.startup()
    await publish_all(errand, as_json, publish)
    await broker.shutdown()


if __name__ == "__main__":
    given = read_errand()
    with asyncio.Runner(loop_factory=runner(given)) as loop:
        loop.run(main(given))
    stay()
