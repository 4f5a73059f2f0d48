"""How fast messages that stand in a queue are consumed, and what that costs client, broker and database."""

from benchmarks.books import (
    QUEUE,
    balance,
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
    await declare(place.broker_url)
    await prepare_consumer_database(place.database_url)
    await fill_queue(place.broker_url, run.scale.messages, contender.write)
    await wait_for_messages(place.broker_url, run.scale.messages)
    errand = Errand(place.broker_url, place.database_url, run.scale.messages, QUEUE, dict(contender.options))
    measured = await measure(
        contender.module, errand, name=contender.name, meter=await run.meter(place), folder=run.folder
    )
    await check(contender, place, run.scale.messages)
    return measured.as_numbers()


async def check(contender: Contender, place: Place, count: int) -> None:
    """Check by the broker's and the database's own counts that every message was acked and done once."""
    balance(f"{contender.name}: left in the queue", await ready_messages(place.broker_url), 0)
    balance(f"{contender.name}: dead letters", await ready_messages(place.broker_url, f"{QUEUE}.dead"), 0)
    if contender.keeps_inbox:
        rows = await count_rows(place.database_url, contender.keeps_inbox)
        balance(f"{contender.name}: rows in its inbox", rows, count)
    if contender.writes_rows:
        balance(f"{contender.name}: effects", await count_rows(place.database_url, "effects"), count)
