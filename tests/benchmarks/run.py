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
    waiting_tasks: int
    requests: int


FULL = Scale(
    rounds=5,
    messages=50_000,
    latency_messages=6_000,
    backlog_rows=1_000_000,
    inbox_rows=0,
    memory_messages=1_000_000,
    waiting_tasks=20_000,
    requests=3_000,
)
QUICK = Scale(
    rounds=1,
    messages=5_000,
    latency_messages=1_000,
    backlog_rows=50_000,
    inbox_rows=0,
    memory_messages=20_000,
    waiting_tasks=4_000,
    requests=500,
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


@dataclass
class Run:
    """What the studies share. `results` is written to a file after every measurement, so that none is lost."""

    scale: Scale
    servers: Servers
    folder: Path
    only: tuple[str, ...] = ()
    """Words of the names of the contenders that are wanted; all of them when there are none."""
    results: Results = field(default_factory=dict)

    async def rounds(
        self, study: str, contenders: Sequence[C], measurement: Callable[["Run", C, Place], Awaitable[Numbers]]
    ) -> None:
        """Measure every contender once a round, interleaved, each time in a place that nobody has used."""
        wanted = [each for each in contenders if not self.only or any(word in each.name for word in self.only)]
        for number, contender in interleaved(wanted, self.scale.rounds):
            begun = time.monotonic()
            async with self.servers.fresh_place() as place:
                numbers = await measurement(self, contender, place)
            self.keep(study, contender.name, numbers)
            told = ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items() if value is not None)
            took = f"took {time.monotonic() - begun:.0f} s"
            self.say(f"{study}, round {number + 1} of {self.scale.rounds}: {contender.name}: {told} ({took})")

    async def meter(self, place: Place) -> Meter:
        """Return what reads the processors' clocks here."""
        return Meter(self.servers.broker_process, listener(place.database_url, DATABASE_PROCESS))

    def keep(self, study: str, name: str, numbers: Numbers) -> None:
        """Add the numbers of one measurement, and write all of them down."""
        self.results.setdefault(study, {}).setdefault(name, []).append(dict(numbers))
        (self.folder / "results.json").write_text(json.dumps(self.results, indent=1), encoding="utf-8")

    def say(self, line: str) -> None:
        """Tell the person who waits how far it is."""
        print(f"bench: {line}", file=sys.stderr, flush=True)
