"""How fast messages that stand in a queue are consumed, and what that costs client, broker and database."""

from collections.abc import Awaitable, Callable

from benchmarks.books import (
    QUEUE,
    balance,
    come_to_rest,
    count_rows,
    declare,
    fill_queue,
    prepare_consumer_database,
    ready_messages,
    wait_for_messages,
)
from benchmarks.contenders.contract import Errand
from benchmarks.contenders.roster import CONSUMERS, Contender
from benchmarks.measuring import measure
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place

NAME = "consume"


async def study(run: Run) -> None:
    """Let every contender consume as many messages as there are, round by round."""
    await run.rounds(NAME, CONSUMERS, consume)


async def consume(run: Run, contender: Contender, place: Place) -> Numbers:
    """Fill a queue, let one contender empty it, and check that nothing was lost or done twice."""
    return await consume_beside(run, contender, place, fill=_leave_empty, standing=0)


async def consume_beside(
    run: Run, contender: Contender, place: Place, *, fill: Callable[[str], Awaitable[None]], standing: int
) -> Numbers:
    """The same, in a database into which `fill` first puts so many rows of the inbox as are `standing` there."""
    count = run.scale.messages
    await declare(place.broker_url)
    await prepare_consumer_database(place.database_url)
    await fill(place.database_url)
    await fill_queue(place.broker_url, count, contender.write)
    await wait_for_messages(place.broker_url, count)
    await come_to_rest(place.database_url)
    errand = Errand(place.broker_url, place.database_url, count, QUEUE, dict(contender.options))
    measured = await measure(contender.module, errand, name=contender.name, meter=run.meter(place), folder=run.folder)
    await check(contender, place, count, standing)
    return measured.as_numbers()


async def _leave_empty(_database_url: str) -> None:
    """Put nothing in."""


async def check(contender: Contender, place: Place, count: int, standing: int) -> None:
    """Check by the broker's and the database's own counts that every message was acked and done once."""
    balance(f"{contender.name}: left in the queue", await ready_messages(place.broker_url), 0)
    balance(f"{contender.name}: dead letters", await ready_messages(place.broker_url, f"{QUEUE}.dead"), 0)
    if contender.keeps_inbox:
        rows = await count_rows(place.database_url, contender.keeps_inbox)
        balance(f"{contender.name}: rows in its inbox", rows, count + standing)
    if contender.writes_rows:
        balance(f"{contender.name}: effects", await count_rows(place.database_url, "effects"), count)
