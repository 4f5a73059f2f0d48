"""One contender, run as a process of its own, and what it cost: time, processors, memory.

A contender prints a mark when its first message begins and another when its last has ended; both carry the system's
monotonic clock. What it, the broker and the database have used is read when a mark arrives, so neither starting up
nor leaving is counted. It stays until it is asked to leave.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from benchmarks.contenders.contract import MARK, Errand, as_environment

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 900.0
"""A contender that has not come to its end by then has failed."""
LEAVE_SECONDS = 40.0
MEGABYTE = 1024 * 1024


class ContenderFailed(Exception):
    """A contender did not do what it was asked to do, so there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds used so far. None: out of our sight."""

    client: float
    broker: float | None
    database: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of one contender took."""

    count: int
    seconds: float
    client_cpu: float
    broker_cpu: float | None
    database_cpu: float | None
    peak_megabytes: float
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What the contender itself had to say, as part of its last mark."""

    def as_numbers(self) -> dict[str, float | None]:
        """Return what can be compared: rates, and processor seconds for a thousand messages."""
        return {
            "per_second": self.count / self.seconds,
            "client_cpu": 1000 * self.client_cpu / self.count,
            "broker_cpu": None if self.broker_cpu is None else 1000 * self.broker_cpu / self.count,
            "database_cpu": None if self.database_cpu is None else 1000 * self.database_cpu / self.count,
            "megabytes": self.peak_megabytes,
        }


@dataclass(frozen=True, slots=True)
class Meter:
    """Reads what processes have used. `broker` and `database` are the roots of their process trees."""

    broker: psutil.Process | None
    database: psutil.Process | None

    def read(self, *clients: psutil.Process) -> Usage:
        """Read all clocks, one after the other; takes some ten milliseconds."""
        return Usage(sum(cpu_of(each) or 0.0 for each in clients), cpu_of(self.broker), cpu_of(self.database))


def cpu_of(root: psutil.Process | None) -> float | None:
    """Return the processor seconds of a process and all below it, also of those that have ended."""
    if root is None:
        return None
    total = 0.0
    for each in _tree(root):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_megabytes(root: psutil.Process) -> float:
    """Return the sum of the most memory that each process of a tree has ever held at once."""
    return sum(_high_water(each) for each in _tree(root)) / MEGABYTE


def resident_megabytes(root: psutil.Process) -> float:
    """Return what a process holds in memory at the moment."""
    return float(root.memory_info().rss) / MEGABYTE


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _high_water(process: psutil.Process) -> float:
    """Read VmHWM where the kernel keeps it (Linux); elsewhere what is resident has to do."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return float(process.memory_info().rss) if process.is_running() else 0.0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((float(words[1]) * 1024 for words in lines), 0.0)


@dataclass
class Child:
    """A contender that is running. `log` is where its words go."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def seen(self) -> psutil.Process:
        """The process as the system's books know it. Raises ContenderFailed once it has ended."""
        try:
            return psutil.Process(self.process.pid)
        except psutil.NoSuchProcess:
            raise ContenderFailed(f"{self.name} ended before it was asked to; it said:\n{self.words()}") from None

    async def mark(self, name: str, within: float = MOST_SECONDS) -> dict[str, Any]:
        """Wait for a mark and return it. Raises ContenderFailed when the process ends, or is silent for too long."""
        try:
            async with asyncio.timeout(within):
                return await self._next(name)
        except TimeoutError:
            raise ContenderFailed(f"{self.name}: no mark {name!r} within {within:g} s; see {self.log}") from None

    async def _next(self, name: str) -> dict[str, Any]:
        if self.process.stdout is None:
            raise ContenderFailed(f"{self.name}: it has no output to read")
        async for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line) if line.startswith(b'{"' + MARK.encode()) else {}
            if found.get(MARK) == name:
                return found
        raise ContenderFailed(f"{self.name} ended with {await self.process.wait()}; it said:\n{self.words()}")

    def words(self) -> str:
        """Return the end of what it had to say."""
        return self.log.read_text(errors="replace")[-2000:]

    async def leave(self) -> None:
        """Ask it to end as an orchestrator would, and end it if it does not."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._left()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _left(self) -> None:
        """Wait for its end. Its input stays open until then, or it would take us for dead and end at once."""
        if self.process.stdout is not None:
            await self.process.stdout.read()
        await self.process.wait()


async def start(arguments: tuple[str, ...], environment: Mapping[str, str], *, name: str, folder: Path) -> Child:
    """Start `python -m <arguments>` with this environment and nothing else of ours."""
    log = folder / f"{name.replace(' ', '-').replace(',', '').replace('/', '-')}.log"
    sources = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": sources, **environment},
            cwd=folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=words,
            limit=256 * MEGABYTE,
        )  # fmt: skip
    return Child(name, process, log)


async def measure(module: str, errand: Errand, *, name: str, meter: Meter, folder: Path) -> Measured:
    """Run a contender to the end of its errand, and return what that took. Raises ContenderFailed."""
    child = await start((module,), as_environment(errand), name=name, folder=folder)
    try:
        first = await child.mark("first")
        before = meter.read(child.seen)
        last = await child.mark("last")
        after = meter.read(child.seen)
        peak = peak_megabytes(child.seen)
    finally:
        await child.leave()
    return Measured(
        errand.count, last["clock"] - first["clock"], after.client - before.client,
        _less(after.broker, before.broker), _less(after.database, before.database), peak, last,
    )  # fmt: skip


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
