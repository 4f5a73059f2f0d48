"""One run of the benchmarks: its scale, its servers, and every number that it has gathered so far."""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.books import BooksDoNotBalance
from benchmarks.interleaving import interleaved
from benchmarks.measuring import ContenderFailed, Meter
from benchmarks.pages import keep
from benchmarks.servers import DATABASE_PROCESS, Place, Servers, listener
from benchmarks.verdicts import ROUND


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. Quick ones show that it works; only a full one is worth quoting."""

    rounds: int
    messages: int
    latency_messages: int
    backlog_rows: int
    inbox_rows: int
    memory_messages: int
    waiting_seconds: float
    request_seconds: float


FULL = Scale(
    rounds=3,
    messages=25_000,
    latency_messages=3_200,
    backlog_rows=1_000_000,
    inbox_rows=1_000_000,
    memory_messages=1_000_000,
    waiting_seconds=10,
    request_seconds=20,
)
QUICK = Scale(
    rounds=1,
    messages=2_000,
    latency_messages=600,
    backlog_rows=20_000,
    inbox_rows=10_000,
    memory_messages=10_000,
    waiting_seconds=2,
    request_seconds=2,
)

Numbers = Mapping[str, float | None]
"""What one measurement found, by name; None where it could not be seen."""


class Named(Protocol):
    """Whatever is measured has a name, under which its numbers are kept."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...


C = TypeVar("C", bound=Named)

Measurement = Callable[["Run", C, Place], Awaitable[Numbers]]
"""Measures one contender in one place. Raises ContenderFailed or BooksDoNotBalance."""


@dataclass
class Run:
    """What the studies share. `results` is written to a file after every measurement, so that none is lost."""

    scale: Scale
    servers: Servers
    folder: Path
    preface: Sequence[str]
    """What a reader must know of this run, in lines."""
    only: tuple[str, ...] = ()
    """Words of the names of the contenders that are wanted; all of them when there are none."""
    results: dict[str, dict[str, list[Numbers]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    async def rounds(self, study: str, contenders: Sequence[C], measurement: Measurement[C]) -> None:
        """Measure every contender once a round, interleaved, each time in a place that nobody has used."""
        wanted = [each for each in contenders if not self.only or any(word in each.name for word in self.only)]
        for number, contender in interleaved(wanted, self.scale.rounds):
            await self.once(study, contender, measurement, number=number)

    async def once(self, study: str, contender: C, measurement: Measurement[C], *, number: int = 0) -> None:
        """Measure one contender a single time. If it fails, that is said and remembered, and the others go on.

        An AssertionError is what waiting for something in vain ends with.
        """
        try:
            async with self.servers.fresh_place() as place:
                numbers = await measurement(self, contender, place)
        except (ContenderFailed, BooksDoNotBalance, AssertionError) as trouble:
            self.failures.append(f"{study}, {contender.name}: {trouble}")
            self.say(f"FAILED: {self.failures[-1]}")
        else:
            self.told(study, number, contender.name, numbers)

    def meter(self, place: Place) -> Meter:
        """Return what reads the processors' clocks here."""
        return Meter(self.servers.broker_process, listener(place.database_url, DATABASE_PROCESS))

    def told(self, study: str, number: int, name: str, numbers: Numbers) -> None:
        """Keep the numbers of one round, and tell the person who waits."""
        self.results.setdefault(study, {}).setdefault(name, []).append({ROUND: number, **numbers})
        keep(self.folder, self.results, self.preface)
        words = ", ".join(f"{what} {value:,.4g}" for what, value in numbers.items() if value is not None)
        self.say(f"{time.monotonic() - self.begun:5.0f} s  {study}, round {number + 1}: {name}: {words}")

    def say(self, line: str) -> None:
        """Tell the person who waits how far it is."""
        print(f"bench: {line}", file=sys.stderr, flush=True)
