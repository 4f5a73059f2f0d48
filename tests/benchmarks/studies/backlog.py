"""How long one claim takes while the outbox holds more and more: it must not grow with the backlog."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

from benchmarks.books import BooksDoNotBalance
from benchmarks.outbox_books import fill_outbox, prepare_producer_database
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.claims import Claims
from producer_service.database import open_engine
from producer_service.verdicts import Published

NAME = "backlog"
BATCH = 500
CLAIMS = 10
STEPS = (100, 10, 1)


@dataclass(frozen=True, slots=True)
class Backlog:
    """An outbox with so many pending rows."""

    rows: int

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.rows:,} rows"


async def study(run: Run) -> None:
    """Claim from outboxes of several sizes, round by round."""
    await run.rounds(NAME, backlogs(run.scale.backlog_rows), claim)


def backlogs(most: int) -> list[Backlog]:
    """Return a hundredth, a tenth and the whole of `most` rows, none smaller than what is claimed from it. Pure."""
    sizes = (max(most // step, (CLAIMS + 1) * BATCH) for step in STEPS)
    return [Backlog(rows) for rows in dict.fromkeys(sizes)]


async def claim(_run: Run, backlog: Backlog, place: Place) -> Numbers:
    """Claim and mark several batches, as the relay does, but publish nothing."""
    await prepare_producer_database(place.database_url)
    await fill_outbox(place.database_url, backlog.rows)
    engine = open_engine(place.database_url)
    try:
        times = [await _claim_once(engine) for _ in range(CLAIMS)]
    finally:
        await engine.dispose()
    searching, marking = zip(*times, strict=True)
    return {"claim_ms": median(searching), "mark_ms": median(marking)}


async def _claim_once(engine: AsyncEngine) -> tuple[float, float]:
    """Return the milliseconds until the rows are there, and until they are marked and committed."""
    begun = perf_counter()
    async with Claims(engine).open(BATCH) as claimed:
        found = perf_counter()
        if len(claimed.rows) != BATCH:
            raise BooksDoNotBalance(f"a claim of {BATCH} rows gave {len(claimed.rows)}")
        await claimed.mark([Published(row.position) for row in claimed.rows])
    return 1000 * (found - begun), 1000 * (perf_counter() - found)
