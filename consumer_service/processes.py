"""Several workers under one command, for machines with cores to spare.

Each is a process like any other worker, with its own sessions, connections and health port; they share nothing. One
that ends by itself is started again, after a pause that grows while it keeps ending; SIGTERM is passed on to all.
"""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog

WRONG_SETTINGS = 2
"""The exit code of a worker that will not get better by being started again."""

log: Any = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds."""

    shortest_pause: float = 1.0
    longest_pause: float = 30.0
    lives_well_after: float = 60.0
    """A process that lived so long did not end because of how it was started; the pauses begin anew."""


class Processes:
    """Keeps one process alive for each environment, until told to stop."""

    def __init__(
        self,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        *,
        leave_seconds: float,
        patience: Patience | None = None,
    ) -> None:
        """Start nothing yet. A process that has not left `leave_seconds` after SIGTERM is killed."""
        self._command = command
        self._environments = environments
        self._leave_seconds = leave_seconds
        self._patience = patience or Patience()
        self._code = 0

    async def run(self, stop: asyncio.Event) -> int:
        """Run until `stop` is set and all have left. Return the exit code for all: 0, or 1 if one had to be killed.

        One that says its settings are wrong stops all of them, and its code is returned.
        """
        async with asyncio.TaskGroup() as group:
            for number, environment in enumerate(self._environments):
                group.create_task(self._keep_alive(number, environment, stop))
        return self._code

    async def _keep_alive(self, number: int, environment: Mapping[str, str], stop: asyncio.Event) -> None:
        pause = self._patience.shortest_pause
        while not stop.is_set():
            began = monotonic()
            code = await self._live_once(environment, stop)
            if stop.is_set() or code == WRONG_SETTINGS:
                self._code = max(self._code, _exit_code(code))
                stop.set()
                return
            if monotonic() - began > self._patience.lives_well_after:
                pause = self._patience.shortest_pause
            log.error("process.ended", process=number, code=code, again_in_seconds=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()
            pause = min(pause * 2, self._patience.longest_pause)

    async def _live_once(self, environment: Mapping[str, str], stop: asyncio.Event) -> int:
        """Start the process and wait for its end, which it is asked for once `stop` is set. Return its exit code."""
        process = await asyncio.create_subprocess_exec(*self._command, env=environment)
        ended, stopped = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            return await ended if ended.done() else await self._end(process)
        finally:
            ended.cancel()
            stopped.cancel()
            if process.returncode is None:
                process.kill()

    async def _end(self, process: Process) -> int:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._leave_seconds):
                return await process.wait()
        except TimeoutError:
            log.warning("process.killed", pid=process.pid, after_seconds=self._leave_seconds)
            process.kill()
            return await process.wait()


def _exit_code(code: int) -> int:
    """Return what a process says by its end; one that SIGTERM ended before it could listen has left as it was told."""
    return code if code >= 0 else int(code != -signal.SIGTERM)
