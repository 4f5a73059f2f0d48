"""The worked example of docs/outbox-in-your-service.md, run as it stands there."""

import asyncio
import json
import subprocess
import sys

import aio_pika
import pytest
from sqlalchemy import inspect, text
from support.peeking import peek
from support.processes import ROOT
from support.waiting import eventually

from producer_service.database import open_engine
from shared.contracts import Lane

EXAMPLE = ROOT / "docs" / "examples" / "orders" / "orders.py"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture
async def broker_url(rabbitmq):
    """A corner of the broker in which somebody has asked for orders."""
    url = rabbitmq.new_vhost()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("domain.events", "topic", durable=True)
        queue = await channel.declare_queue("billing", durable=True)
        await queue.bind(exchange, "order.*")
    return url


def place_order(database_url):
    scheme, rest = database_url.split("://", 1)
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), f"{DRIVERS[scheme]}://{rest}", "4200"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    return ran.stdout.strip()


async def test_an_order_of_a_service_of_its_own_is_relayed_from_its_own_database(services, database_url, broker_url):
    event_id = await asyncio.to_thread(place_order, database_url)
    env = {"TIDINGS_DATABASE_URL": database_url, "TIDINGS_BROKER_URL": broker_url, "TIDINGS_DRAIN_SECONDS": "0"}

    relay = services.start("producer_service", "relay", env=env, port_variable="TIDINGS_RELAY_HTTP_PORT")

    await relay.is_ready()
    (message,) = await eventually(lambda: peek(broker_url, "billing"), within=20)
    assert (message.message_id, message.routing_key) == (event_id, "order.placed")
    assert json.loads(message.body)["data"]["cents"] == 4200
    assert await tables_of(database_url) == {"orders", "outbox", "outbox_actions"}
    assert await standing_of(database_url) == {
        ("order.placed", "published", Lane.NORMAL),
        ("order.review_due", "delayed", Lane.BULK),
    }


async def standing_of(database_url):
    engine = open_engine(database_url)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT type, status, lane FROM outbox"))).all()
    await engine.dispose()
    return {tuple(row) for row in rows}


async def tables_of(database_url):
    engine = open_engine(database_url)
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda connection: inspect(connection).get_table_names())
    await engine.dispose()
    return set(names)
