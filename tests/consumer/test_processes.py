import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

from consumer_service.processes import Patience, Processes

HASTY = Patience(shortest_pause=0.01, longest_pause=0.05)

NOTE = "import os, sys, time, signal, pathlib; note = pathlib.Path(os.environ['NOTES'], str(os.getpid())); "
STAYS = NOTE + "note.write_text('up'); signal.pause()"
DEAF = NOTE + "signal.signal(signal.SIGTERM, signal.SIG_IGN); note.write_text('up'); time.sleep(60)"
POLITE = NOTE + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); note.write_text('up'); signal.pause()"


class Workers:
    """Processes that note that they are up, in a folder."""

    def __init__(self, folder: Path, script: str, count: int = 2, leave_seconds: float = 20) -> None:
        self._folder = folder
        environments = [{**os.environ, "NOTES": str(folder)} for _ in range(count)]
        command = [sys.executable, "-c", script]
        self.processes = Processes(command, environments, leave_seconds=leave_seconds, patience=HASTY)
        self.stop = asyncio.Event()

    @property
    def pids(self) -> set[int]:
        return {int(note.name) for note in self._folder.iterdir() if note.read_text() == "up"}

    async def have_started(self, count: int) -> set[int]:
        await eventually(lambda: len(self.pids) >= count, within=20)
        return self.pids

    def run(self) -> asyncio.Task[int]:
        return asyncio.create_task(self.processes.run(self.stop))


@pytest.fixture
def workers(tmp_path):
    return lambda script, **knobs: Workers(tmp_path, script, **knobs)


async def test_as_many_run_as_there_are_environments_and_all_leave_when_told(workers):
    polite = workers(POLITE, count=3)
    running = polite.run()
    pids = await polite.have_started(3)

    polite.stop.set()

    assert await running == 0
    assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_one_that_dies_is_started_again_and_the_others_are_left_alone(workers):
    polite = workers(POLITE)
    running = polite.run()
    first, other = await polite.have_started(2)

    os.kill(first, signal.SIGKILL)

    await polite.have_started(3)
    os.kill(other, 0)
    polite.stop.set()
    assert await running == 0


async def test_one_that_cannot_be_started_rightly_stops_all_with_its_code(workers):
    wrong = workers("import sys; sys.exit(2)")

    assert await asyncio.wait_for(wrong.run(), 20) == 2


@pytest.mark.slow
async def test_one_that_does_not_leave_is_killed_after_its_time(workers):
    deaf = workers(DEAF, count=1, leave_seconds=0.2)
    running = deaf.run()
    await deaf.have_started(1)

    deaf.stop.set()

    assert await asyncio.wait_for(running, 20) == 1


async def test_whoever_gives_up_leaves_no_process_behind(workers):
    stays = workers(STAYS)
    running = stays.run()
    pids = await stays.have_started(2)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    for pid in pids:
        await eventually(lambda pid=pid: not Path(f"/proc/{pid}/cmdline").exists(), within=10)
