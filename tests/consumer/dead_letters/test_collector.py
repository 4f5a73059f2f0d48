import asyncio
from contextlib import asynccontextmanager

import httpx2
from structlog.testing import capture_logs
from support.builders import a_queue, a_topology
from support.dead_letters import MAIL, NOTIFICATION, READERS, a_dead_message, the_letters
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.dead_letters.collector import CollectorProcess
from shared.errors import BrokerUnavailable


@asynccontextmanager
async def collecting(engine, transport):
    stop = asyncio.Event()
    process = CollectorProcess(
        transport=transport, engine=engine, readers=READERS, longest_pause_seconds=0.05, measure_seconds=0.05
    )
    running = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await running


async def ask(process, path):
    app = httpx2.ASGITransport(app=process.health())
    async with httpx2.AsyncClient(transport=app, base_url="http://collector") as client:
        return await client.get(path)


async def is_ready(process):
    return (await ask(process, "/readyz")).status_code == 200


async def test_every_queue_is_collected_as_soon_as_something_dies(engine, transport):
    async with collecting(engine, transport):
        transport.put(f"{MAIL}.dead", a_dead_message())
        transport.put(f"{NOTIFICATION}.dead", a_dead_message())

        async def both():
            return {letter.queue for letter in await the_letters(engine)} == {MAIL, NOTIFICATION}

        await eventually(both, within=20)


async def test_is_ready_while_it_collects_and_says_which_queue_it_has_lost(engine, transport):
    async with collecting(engine, transport) as process:
        await eventually(lambda: is_ready(process), within=20)
        transport.refusals += [BrokerUnavailable("nobody answers")] * 1000
        transport.end_sessions()

        async def lost():
            answer = await ask(process, "/readyz")
            return answer.status_code == 503 and answer.json()["checks"][f"{MAIL}.dead"]["status"] != "ok"

        await eventually(lost, within=20)


async def test_a_broker_that_is_away_is_asked_again_and_the_trouble_is_said_once(engine, transport):
    transport.refusals += [BrokerUnavailable("nobody answers")] * 6

    with capture_logs() as lines:
        async with collecting(engine, transport) as process:
            await eventually(lambda: is_ready(process), within=20)

    said = [line["queue"] for line in lines if line["event"] == "collector.not_collecting"]
    assert sorted(said) == [MAIL, NOTIFICATION]


async def test_a_database_that_is_away_leaves_everything_in_the_broker(no_database):
    transport, message = WatchedTransport(), a_dead_message()
    await transport.apply(a_topology(a_queue(MAIL), a_queue(NOTIFICATION)))
    transport.put(f"{MAIL}.dead", message)

    with capture_logs() as lines:
        async with collecting(no_database, transport):
            await eventually(lambda: any(line["event"] == "collector.not_collecting" for line in lines), within=20)

    assert transport.waiting(f"{MAIL}.dead") == [message]


async def test_the_gauges_show_what_stands_in_the_table(engine, transport):
    transport.put(f"{MAIL}.dead", a_dead_message())

    async with collecting(engine, transport) as process:

        def measured():
            return process.registry.get_sample_value("tidings_dead_letters", {"queue": MAIL, "state": "waiting"}) == 1

        await eventually(measured, within=20)
        shown = (await ask(process, "/metrics")).text

    assert 'tidings_dead_letters_collected_total{queue="consumer.mail",reason="retries_exhausted"} 1.0' in shown
