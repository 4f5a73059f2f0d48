"""How long a message is on its way at 200 a second: from the producer's commit, or publish, to the consumer's task."""

from benchmarks.books import QUEUE, declare, prepare_consumer_database, wait_for_consumers
from benchmarks.contenders.contract import Errand, as_environment
from benchmarks.contenders.roster import PAIRS, Pair
from benchmarks.measuring import start
from benchmarks.outbox_books import prepare_producer_database
from benchmarks.run import Numbers, Run
from benchmarks.servers import Place
from benchmarks.spread import percentile

NAME = "latency"
RATE = 200
WARMING_UP = RATE
"""The first second is not counted: connections open and caches fill."""

LATE_SECONDS = 60.0
"""Longer than anything on its way may take; what has not come by then is lost."""


async def study(run: Run) -> None:
    """Send at one pace by every way, round by round."""
    await run.rounds(NAME, PAIRS, travel)


async def travel(run: Run, pair: Pair, place: Place) -> Numbers:
    """Send messages from one process to another, and compare their clocks, which are the system's own."""
    await declare(place.broker_url)
    await prepare_consumer_database(place.database_url)
    await prepare_producer_database(place.second_database_url)
    count, options = run.scale.latency_messages, {"rate": str(RATE), "clocks": "yes", **pair.options}
    receiving = as_environment(Errand(place.broker_url, place.database_url, count, QUEUE, options))
    sending = as_environment(Errand(place.broker_url, place.second_database_url, count, QUEUE, options))
    receiver = await start((pair.receiver,), receiving, name=f"{pair.name}, receiver", folder=run.folder)
    try:
        await wait_for_consumers(place.broker_url, 1)
        sender = await start((pair.sender,), sending, name=f"{pair.name}, sender", folder=run.folder)
        try:
            sent = (await sender.mark("last", within=count / RATE + LATE_SECONDS))["clocks"]
            began = (await receiver.mark("last", within=LATE_SECONDS))["clocks"]
        finally:
            await sender.leave()
    finally:
        await receiver.leave()
    return between(sent, began)


def between(sent: dict[str, float], began: dict[str, float]) -> Numbers:
    """Return how many milliseconds lie between two clocks of the same messages. Pure."""
    ordered = sorted(sent, key=sent.__getitem__)[WARMING_UP:]
    milliseconds = [1000 * (began[message_id] - sent[message_id]) for message_id in ordered]
    return {"p50_ms": percentile(milliseconds, 0.5), "p99_ms": percentile(milliseconds, 0.99)}
