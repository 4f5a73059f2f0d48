"""One run of the benchmarks: its scale, its servers, and every number that it has gathered so far."""

import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.interleaving import interleaved
from benchmarks.measuring import Meter
from benchmarks.servers import DATABASE_PROCESS, Place, Servers, listener


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
    rounds=5,
    messages=50_000,
    latency_messages=6_000,
    backlog_rows=1_000_000,
    inbox_rows=1_000_000,
    memory_messages=1_000_000,
    waiting_seconds=10,
    request_seconds=30,
)
QUICK = Scale(
    rounds=1,
    messages=5_000,
    latency_messages=1_000,
    backlog_rows=50_000,
    inbox_rows=20_000,
    memory_messages=20_000,
    waiting_seconds=3,
    request_seconds=4,
)

Numbers = Mapping[str, float | None]
"""What one measurement found, by name; None where it could not be seen."""


Results = dict[str, dict[str, list[dict[str, float | None]]]]
"""Numbers by study, by contender, by round."""


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
    only: tuple[str, ...] = ()
    """Words of the names of the contenders that are wanted; all of them when there are none."""
    results: Results = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    async def rounds(self, study: str, contenders: Sequence[C], measurement: Measurement[C]) -> None:
        """Measure every contender once a round, interleaved, each time in a place that nobody has used."""
        wanted = [each for each in contenders if not self.only or any(word in each.name for word in self.only)]
        for number, contender in interleaved(wanted, self.scale.rounds):
            async with self.servers.fresh_place() as place:
                numbers = await measurement(self, contender, place)
            self.told(study, number, contender.name, numbers)

    async def once(self, study: str, contender: C, measurement: Measurement[C]) -> None:
        """Measure one contender a single time."""
        async with self.servers.fresh_place() as place:
            self.told(study, 0, contender.name, await measurement(self, contender, place))

    def meter(self, place: Place) -> Meter:
        """Return what reads the processors' clocks here."""
        return Meter(self.servers.broker_process, listener(place.database_url, DATABASE_PROCESS))

    def told(self, study: str, number: int, name: str, numbers: Numbers) -> None:
        """Keep the numbers of one round, and tell the person who waits."""
        self.keep(study, name, numbers)
        words = ", ".join(f"{what} {value:,.4g}" for what, value in numbers.items() if value is not None)
        self.say(f"{time.monotonic() - self.begun:5.0f} s  {study}, round {number + 1}: {name}: {words}")

    def keep(self, study: str, name: str, numbers: Numbers) -> None:
        """Add the numbers of one measurement, and write all of them down."""
        self.results.setdefault(study, {}).setdefault(name, []).append(dict(numbers))
        (self.folder / "results.json").write_text(json.dumps(self.results, indent=1), encoding="utf-8")

    def say(self, line: str) -> None:
        """Tell the person who waits how far it is."""
        print(f"bench: {line}", file=sys.stderr, flush=True)
