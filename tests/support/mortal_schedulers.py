"""Processes that keep a schedule and a timer, and end themselves by SIGKILL between two steps: each one step later.

    python -m support.mortal_schedulers postgresql://... 30

A step is a statement or a commit; each has a place before it and one after it. Prints where each process ended.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from time import monotonic

from prometheus_client import CollectorRegistry
from support.schedules import a_schedule, interrupt_between_steps

from producer_service.database import open_engine
from producer_service.metrics import Metrics
from producer_service.schedules.firing import Firing
from producer_service.schedules.schedule import Missed
from producer_service.schedules.scheduler import Scheduler
from producer_service.timer import Timer
from producer_service.unit_of_work import units_on

SECOND_BY_SECOND = a_schedule(cron="* * * * * *", missed=Missed.ALL, most=1000)
LIFE_SECONDS = 20.0
"""Of a process that never comes to the step at which it is to end."""


async def live(url: str, step: Callable[[str], None]) -> None:
    """Fire what is due and let one row fall due, again and again."""
    engine, ends = open_engine(url), monotonic() + LIFE_SECONDS
    interrupt_between_steps(engine, step)
    scheduler = Scheduler(
        schedules=[SECOND_BY_SECOND],
        firing=Firing(unit_of_work=units_on(engine, source="/here")),
        metrics=Metrics(CollectorRegistry()),
    )
    timer = Timer(engine, wake=lambda: None)
    while monotonic() < ends:
        await scheduler.turn()
        await timer.fall_due(most=1)


def live_until(url: str, last: int) -> None:
    """Live, and die at the last of so many steps."""
    left = iter(range(last))

    def step(name: str) -> None:
        if next(left, None) is None:
            os.write(1, f"{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(live(url, step))


def main(url: str, processes: int) -> None:
    """Run them one after another; nothing here has a loop or a thread when it forks."""
    for number in range(processes):
        child = os.fork()
        if child == 0:
            live_until(url, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"process {number} ended by itself")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
