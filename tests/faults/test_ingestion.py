"""Foreign services go on sending while the API, the relay and the broker are killed under them."""

import asyncio
import os
from collections import Counter
from contextlib import ExitStack

import aio_pika
import pytest
from sqlalchemy import select
from support.emitting import curl, emitting, node
from support.peeking import ids_in
from support.processes import ROOT, a_free_port
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.ingestion.issuing import Issuing
from producer_service.migrations import migrate
from producer_service.models import OutboxRow

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.slow_fault]


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
    """Start the API or the relay, always on the same port; with `doom` it kills itself at that point."""
    ports = {"api": a_free_port(), "relay": a_free_port()}
    env = {
        "TIDINGS_DATABASE_URL": outbox[1],
        "TIDINGS_BROKER_URL": broker_url,
        "TIDINGS_DRAIN_SECONDS": "0",
        "TIDINGS_RELAY_IN_API": "false",
        "TIDINGS_LINK_SECRET": "a-link-secret-of-at-least-32-characters",
    }

    def begin(what, doom="-"):
        variable = "TIDINGS_RELAY_HTTP_PORT" if what == "relay" else "TIDINGS_HTTP_PORT"
        path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "TIDINGS_DOOM": doom}
        return services.start("faults.doomed", what, env=env | path, port_variable=variable, port=ports[what])

    return begin


@pytest.fixture
def emit(outbox, tmp_path):
    """Start both foreign services, each with a key of its own."""

    async def emit(stack, url):
        emitters = {}
        for name, command in {"node": node, "curl": curl}.items():
            key = await Issuing(outbox[0]).create(name, types=["user.*"], sources=[f"/{name}"], rate=0)
            emitters[name] = stack.enter_context(emitting(tmp_path, name, command(url, key)))
        return emitters

    return emit


async def stored(engine):
    async with engine.connect() as connection:
        return {row.id: row.status for row in await connection.execute(select(OutboxRow.id, OutboxRow.status))}


@pytest.fixture
def further():
    """Wait until every foreign service has had more accepted; none of them may have ended."""

    async def further(emitters, by=10):
        goals = [(each, len(each.accepted) + by) for each in emitters.values()]
        assert not any(each.has_ended() for each in emitters.values())
        await eventually(lambda: all(len(each.accepted) >= goal for each, goal in goals), within=60)

    return further


async def ready(service):
    """Wait for longer than usual: the foreign services let the processors no rest meanwhile."""
    await eventually(service.answers, within=90)
    return service


async def has_died(service):
    await eventually(lambda: service.process.poll() is not None, within=120)
    assert service.process.returncode == -9, service.said


@pytest.mark.timeout(400)
async def test_the_books_balance_when_api_relay_and_broker_are_killed_under_foreign_services(
    begin, emit, outbox, mortal, broker_url, further
):
    """P2 lies between commit and answer, P3 between claim and publish, P5 between confirms and marks."""
    api, relay = await ready(begin("api", "P2:20")), await ready(begin("relay", "P5:40"))

    with ExitStack() as stack:
        emitters = await emit(stack, api.url)
        for point in ("P2:30", "-"):
            await has_died(api)
            api = begin("api", point)
        for point in ("P3:2", "-"):
            await has_died(relay)
            relay = begin("relay", point)
        await ready(relay)
        await further(emitters)
        await asyncio.to_thread(mortal.kill)
        await further(emitters)
        api.kill()
        relay.kill()
        await ready(begin("api"))
        begin("relay")
        await further(emitters)
        await asyncio.to_thread(mortal.recover)
        await further(emitters)
        for each in emitters.values():
            each.stop()
        await eventually(lambda: all(each.has_ended() for each in emitters.values()), within=60)
        accepted = Counter(event for each in emitters.values() for event in each.accepted)

    async def all_published():
        return set((await stored(outbox[0])).values()) == {"published"}

    await eventually(all_published, within=90)
    assert accepted == Counter((await stored(outbox[0])).keys())
    assert set(await ids_in(broker_url, "witness")) == set(accepted)
