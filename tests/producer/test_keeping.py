import asyncio

import pytest
from structlog.testing import capture_logs
from support.waiting import eventually

from producer_service.backoff import Backoff
from producer_service.keeping import keep_running, kept_running


class CrashingPart:
    """Fails in a way that nobody foresaw, a few times; then it runs until it is stopped."""

    def __init__(self, crashes):
        self.crashes = crashes
        self.running = False

    async def run(self, stop):
        if self.crashes:
            self.crashes -= 1
            raise ArithmeticError("nobody foresaw this")
        self.running = True
        await stop.wait()


async def test_a_part_that_crashes_is_told_of_and_run_again():
    part, stop = CrashingPart(crashes=3), asyncio.Event()

    with capture_logs() as lines:
        keeping = asyncio.create_task(keep_running(part, stop, restart=Backoff(first=0.01, most=0.01)))
        await eventually(lambda: part.running)
        stop.set()
        await asyncio.wait_for(keeping, 5)

    assert [(line["event"], line["crashes"]) for line in lines] == [("relay.crashed", n) for n in (1, 2, 3)]
    assert str(lines[0]["exc_info"]) == "nobody foresaw this"


@pytest.mark.slow
async def test_all_parts_run_until_the_context_is_left_and_each_is_told_of_by_its_name():
    timer, scheduler = CrashingPart(crashes=0), CrashingPart(crashes=1)

    with capture_logs() as lines:
        async with kept_running(timer=timer, scheduler=scheduler):
            await eventually(lambda: timer.running and scheduler.running)

    assert [line["event"] for line in lines] == ["scheduler.crashed"]
