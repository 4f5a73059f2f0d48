"""A careful replay: one, then ten, then the rest, no faster than allowed, and not on when the same failure is back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncEngine

from consumer_service.dead_letters.audit import Order
from consumer_service.dead_letters.forecast import Forecast, Prospect
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.returning import claim, send_home
from consumer_service.dead_letters.stored import DeadLetter
from consumer_service.dead_letters.watching import Result, look
from shared.transport import Fate, Publisher

CANARIES = (1, 10)
"""How many go first, and how many next, before all others follow."""

RATE = 50
"""Dead letters per second, at most, unless somebody says otherwise: what had died comes beside what is due."""

WATCH_SECONDS = 60.0
"""How long to wait for the end of a stage, unless somebody says otherwise: twice the default timeout of a task."""

CHUNKS_PER_SECOND = 10
"""How finely the rate is kept."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How careful to be."""

    rate: int = RATE
    canary: bool = True
    watch_seconds: float = WATCH_SECONDS
    look_seconds: float = 1.0
    """How often to look at what became of those that went."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Dead letters of one queue that died of the same thing: a canary speaks for its own kind only."""

    queue: str
    fingerprint: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch has come. `stopped` says why it goes no further, and is empty while it does.

    `refused` is true when that is for the broker, and not for what became of those that went.
    """

    batch: Batch
    sent: int
    left: int
    results: Counter[Result]
    stopped: str = ""
    refused: bool = False


@dataclass(slots=True)
class _Course:
    """What has happened to a batch so far."""

    batch: Batch
    gone: dict[int, DeadLetter] = field(default_factory=dict)
    ended: dict[int, Result] = field(default_factory=dict)
    tried: int = 0
    looked_at: float = field(default_factory=monotonic)

    @property
    def trying(self) -> list[DeadLetter]:
        return [letter for letter in self.gone.values() if letter.id not in self.ended]

    @property
    def results(self) -> Counter[Result]:
        return Counter(self.ended.values()) + Counter({Result.TRYING: len(self.gone) - len(self.ended)})

    @property
    def came_back(self) -> str:
        count = self.results[Result.CAME_BACK]
        return f"the same failure is back ({count})" if count else ""

    def progress(self, stopped: str = "", *, refused: bool = False) -> Progress:
        left = len(self.batch.ids) - self.tried
        return Progress(self.batch, len(self.gone), left, self.results, stopped, refused)


def batches(forecasts: Sequence[Forecast]) -> Sequence[Batch]:
    """Group those that can be replayed. In each batch those that will run go first: a skipped canary proves nothing."""
    found: dict[tuple[str, str], list[Forecast]] = {}
    for each in forecasts:
        if each.prospect is not Prospect.DIES:
            found.setdefault((each.queue, each.fingerprint), []).append(each)
    return [
        Batch(queue, cause, tuple(each.id for each in sorted(kind, key=lambda each: each.prospect is Prospect.SKIPPED)))
        for (queue, cause), kind in found.items()
    ]


def stages(ids: Sequence[int], *, canary: bool) -> Iterator[tuple[int, ...]]:
    """Yield what goes together: one, ten, the rest; or all at once without a canary."""
    start = 0
    for size in (*CANARIES, len(ids)) if canary else (len(ids),):
        if start < len(ids):
            yield tuple(ids[start : start + size])
        start += size


class Campaign:
    """Replays batches. What it has begun and not finished stays `replaying`; the same command goes on with it."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        publisher: Publisher,
        collect: Callable[[str], Awaitable[object]],
        readers: Readers,
        order: Order,
        replayable: timedelta,
        pace: Pace,
    ) -> None:
        """`collect` brings what has died again into the table; it must not raise when the broker is away."""
        self._engine = engine
        self._publisher = publisher
        self._collect = collect
        self._readers = readers
        self._order = order
        self._replayable = replayable
        self._pace = pace

    async def run(self, batch: Batch) -> AsyncIterator[Progress]:
        """Replay one batch stage by stage, and yield how far it has come: at each look, and after each stage.

        The last word has `stopped` when it stopped by itself. Raises TransportError when the broker cannot be reached.
        """
        course = _Course(batch)
        for stage in stages(batch.ids, canary=self._pace.canary):
            async for progress in self._stage(course, stage):
                yield progress
                if progress.stopped:
                    return

    async def _stage(self, course: _Course, stage: Sequence[int]) -> AsyncIterator[Progress]:
        for chunk in _chunks(stage, ceil(self._pace.rate / CHUNKS_PER_SECOND)):
            refused = await self._send(course, chunk)
            if refused:
                yield course.progress(refused, refused=True)
                return
            if monotonic() - course.looked_at >= self._pace.look_seconds:
                await self._look(course)
                yield course.progress(course.came_back)
        await self._watch(course)
        is_canary = course.tried < len(course.batch.ids)
        yield course.progress(course.came_back or (self._unproven(course.results) if is_canary else ""))

    async def _send(self, course: _Course, chunk: Sequence[int]) -> str:
        """Send some home, and take the time that they are due. Return why not to go on, or nothing."""
        claimed = await claim(self._engine, chunk, self._order, replayable=self._replayable)
        course.tried += len(chunk)
        returned = await send_home(self._engine, self._publisher, claimed)
        course.gone |= {each.letter.id: each.letter for each in returned if each.receipt.fate is Fate.CONFIRMED}
        await asyncio.sleep(len(chunk) / self._pace.rate)
        refused = [each for each in returned if each.receipt.fate is not Fate.CONFIRMED]
        if refused:
            receipt = refused[0].receipt
            return f"the broker has not confirmed {len(refused)} of them: {receipt.fate}, {receipt.detail}"
        return ""

    async def _watch(self, course: _Course) -> None:
        """Look until all have ended, one has come back, or the time is up."""
        deadline = monotonic() + self._pace.watch_seconds
        await self._look(course)
        while course.trying and not course.came_back and monotonic() < deadline:
            await asyncio.sleep(self._pace.look_seconds)
            await self._look(course)

    async def _look(self, course: _Course) -> None:
        await self._collect(course.batch.queue)
        results = await look(self._engine, self._readers, course.trying)
        course.ended |= {each: result for each, result in results.items() if result is not Result.TRYING}
        course.looked_at = monotonic()

    def _unproven(self, results: Counter[Result]) -> str:
        """Say why a canary is no reason to go on, or nothing: it must have lived."""
        if not results.total():
            return "somebody else is replaying these"
        if results[Result.DIED]:
            return f"the canary died of something else ({results[Result.DIED]})"
        if results[Result.TRYING]:
            return f"the canary has not finished within {self._pace.watch_seconds:g} s; is a worker running?"
        return ""


def _chunks(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
