"""Foreign services go on sending while the API, the relay and the broker are killed under them."""

import asyncio
from collections import Counter
from contextlib import ExitStack

import aio_pika
import pytest
from sqlalchemy import select
from support.emitting import curl, emitting, node
from support.peeking import ids_in
from support.processes import a_free_port
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.ingestion.issuing import Issuing
from producer_service.migrations import migrate
from producer_service.models import OutboxRow

ROUNDS = 100
EMITTED = {"node": 3 * ROUNDS, "curl": ROUNDS}
"""Every other round of the one in Node is a batch of five."""

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest.fixture
async def outbox(postgres):
    async with postgres.new_database() as url:
        engine = open_engine(url)
        await migrate(engine)
        yield engine, url
        await engine.dispose()


@pytest.fixture
async def broker_url(mortal):
    """A corner of a broker that may be killed, in which somebody listens."""
    url = mortal.new_vhost()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("domain.events", "topic", durable=True)
        queue = await channel.declare_queue("witness", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, "user.email_verified")
    return url


@pytest.fixture
def begin(services, outbox, broker_url):
    """Start the API or the relay, always on the same port."""
    ports = {"api": a_free_port(), "relay": a_free_port()}
    env = {
        "TIDINGS_DATABASE_URL": outbox[1],
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DRAIN_SECONDS": "0",
        "TIDINGS_RELAY_IN_API": "false",
        "TIDINGS_LINK_SECRET": "a-link-secret-of-at-least-32-characters",
    }

    def begin(what):
        variable = "TIDINGS_RELAY_HTTP_PORT" if what == "relay" else "TIDINGS_HTTP_PORT"
        return services.start("producer_service", what, env=env, port_variable=variable, port=ports[what])

    return begin


@pytest.fixture
def emit(outbox, tmp_path):
    """Start both foreign services, each with a key of its own."""

    async def emit(stack, url):
        emitters = {}
        for name, command in {"node": node, "curl": curl}.items():
            key = await Issuing(outbox[0]).create(name, types=["user.*"], sources=[f"/{name}"], rate=0)
            emitters[name] = stack.enter_context(emitting(tmp_path, name, command(url, key, ROUNDS)))
        return emitters

    return emit


async def stored(engine):
    async with engine.connect() as connection:
        return {row.id: row.status for row in await connection.execute(select(OutboxRow.id, OutboxRow.status))}


@pytest.mark.timeout(300)
async def test_the_books_balance_when_api_relay_and_broker_are_killed_under_foreign_services(
    begin, emit, outbox, mortal, broker_url
):
    api, relay = await begin("api").is_ready(), await begin("relay").is_ready()

    with ExitStack() as stack:
        emitters = await emit(stack, api.url)

        async def further():
            goals = [(each, len(each.accepted) + 1) for each in emitters.values()]
            await eventually(
                lambda: all(each.has_ended() or len(each.accepted) >= goal for each, goal in goals), within=60
            )

        for _ in range(2):
            await further()
            api.kill()
            api = await begin("api").is_ready()
            await further()
            relay.kill()
            relay = await begin("relay").is_ready()
        await asyncio.to_thread(mortal.kill)
        await further()
        await asyncio.to_thread(mortal.recover)
        await eventually(lambda: all(each.has_ended() for each in emitters.values()), within=120)
        accepted = {name: each.accepted for name, each in emitters.items()}

    async def all_published():
        return set((await stored(outbox[0])).values()) == {"published"}

    await eventually(all_published, within=90)
    told = Counter(event for events in accepted.values() for event in events)
    assert {name: len(events) for name, events in accepted.items()} == EMITTED
    assert told == Counter((await stored(outbox[0])).keys())
    assert set(await ids_in(broker_url, "witness")) == set(told)
