"""How fast events that stand in an outbox reach the broker, beside how fast others publish without one."""

from benchmarks.books import QUEUE, balance, count_rows, declare, wait_for_messages
from benchmarks.contenders.contract import Errand
from benchmarks.contenders.roster import PUBLISHERS, Contender
from benchmarks.measuring import measure
from benchmarks.outbox_books import fill_outbox, prepare_producer_database
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place

NAME = "relay"


async def study(run: Run) -> None:
    """Let every contender publish as many messages as there are, round by round."""
    await run.rounds(NAME, PUBLISHERS, publish)


async def publish(run: Run, contender: Contender, place: Place) -> Numbers:
    """Let one contender publish into an empty queue, and check that each message arrived once."""
    count = run.scale.messages
    await declare(place.broker_url)
    if contender.relays:
        await prepare_producer_database(place.database_url)
        await fill_outbox(place.database_url, count)
    errand = Errand(place.broker_url, place.database_url, count, QUEUE, dict(contender.options))
    measured = await measure(contender.module, errand, name=contender.name, meter=run.meter(place), folder=run.folder)
    await wait_for_messages(place.broker_url, count)
    if contender.relays:
        published = await count_rows(place.database_url, "outbox", "status = 'published'")
        balance(f"{contender.name}: published rows", published, count)
    return measured.as_numbers()
