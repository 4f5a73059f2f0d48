"""Whether a large inbox is a slow one: the same messages are consumed beside none and beside very many old rows."""

from dataclasses import dataclass

from benchmarks.books import execute
from benchmarks.contenders.roster import Contender, ours
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place
from benchmarks.studies.consume import consume_beside

NAME = "inbox"

FILL = """
    INSERT INTO inbox (task, message_id, body_hash, status, holder, finished_at)
    SELECT 'NothingTask', gen_random_uuid()::text, decode(md5(number::text), 'hex'), 'done', 'bench',
        now() - number * interval '1 millisecond'
    FROM generate_series(1, {rows}) AS number
"""
"""Random ids: a new message's place in the index is anywhere, which is the worst there is."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Our worker, beside so many rows of messages long done."""

    rows: int
    contender: Contender

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"ours, beside {self.rows:,} old rows"


async def study(run: Run) -> None:
    """Consume beside nothing and beside what is asked for, round by round."""
    contender = ours("ours, inbox", "nothing")
    await run.rounds(NAME, (Standing(0, contender), Standing(run.scale.inbox_rows, contender)), consume)


async def consume(run: Run, standing: Standing, place: Place) -> Numbers:
    """Fill the inbox, then consume as ever."""

    async def fill(database_url: str) -> None:
        if standing.rows:
            await execute(database_url, FILL.format(rows=standing.rows))

    return await consume_beside(run, standing.contender, place, fill=fill, standing=standing.rows)
