"""Filling queues and tables before a measurement, and counting afterwards, by means that no contender has a hand in."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

import aiormq
import asyncpg
from benchmarks.contenders.message import Writer, events
from support.waiting import eventually

from consumer_service.database import open_engine
from consumer_service.migrations import migrate
from shared.backends import open_transport
from shared.topology import DOMAIN_EVENTS, Binding, Queue, Topology
from shared.transport import Fate, Message, Outgoing, Publisher

FILLED_AT_ONCE = 500
ANSWER_SECONDS = 30.0
CALM_SECONDS = 60.0
QUEUE = "consumer.bench"
EVENT = "user.created"

TABLES = """
    CREATE TABLE effects (message_id text NOT NULL, user_id uuid NOT NULL, at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE peer_inbox (message_id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE peer_users (id uuid PRIMARY KEY, email text NOT NULL, name text NOT NULL);
"""
"""What a transactional task writes, and for those who bring no tables of their own the smallest that will do."""


class BooksDoNotBalance(Exception):
    """Something was lost, done twice or left over, so the measurement counts for nothing."""


async def declare(broker_url: str) -> None:
    """Declare what our product declares: exchanges, rungs, and one quorum queue with its dead letters."""
    queue = Queue(QUEUE, (Binding(DOMAIN_EVENTS, EVENT),))
    await open_transport(broker_url, name="bench").apply(Topology((queue,)))


async def prepare_consumer_database(database_url: str) -> None:
    """Bring a new database to the consumer's schema, with the tables of the tasks and of the peers beside it."""
    engine = open_engine(database_url)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()
    await execute(database_url, TABLES)


async def execute(database_url: str, statements: str) -> None:
    """Run statements outside of everybody's pool."""
    connection = await asyncpg.connect(database_url, timeout=ANSWER_SECONDS, command_timeout=3600)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def come_to_rest(database_url: str) -> None:
    """Let the database write down what was filled in, where it lets us say so, before anybody is measured."""
    with suppress(asyncpg.InsufficientPrivilegeError):
        await execute(database_url, "CHECKPOINT")


async def count_rows(database_url: str, table: str, where: str = "true") -> int:
    """Count rows. Names come from the code, never from outside."""
    connection = await asyncpg.connect(database_url, timeout=ANSWER_SECONDS, command_timeout=300)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {where}"))  # noqa: S608
    finally:
        await connection.close()


async def fill_queue(broker_url: str, count: int, write: Writer) -> None:
    """Put so many messages into the queue, persistent and confirmed."""
    written = (write(event) for event in events(count))
    async with open_transport(broker_url, name="bench filling").publisher() as publisher:
        while batch := list(islice(written, FILLED_AT_ONCE)):
            await publish(publisher, batch)


async def publish(publisher: Publisher, batch: Sequence[Message]) -> None:
    """Publish to the exchange of events, and insist on every confirm."""
    receipts = await publisher.publish([Outgoing(DOMAIN_EVENTS.name, EVENT, message) for message in batch])
    refused = [receipt for receipt in receipts if receipt.fate is not Fate.CONFIRMED]
    if refused:
        raise BooksDoNotBalance(f"the broker did not confirm {len(refused)} messages: {refused[0]}")


async def ready_messages(broker_url: str, queue: str = QUEUE) -> int:
    """Return how many messages wait in a queue once nobody consumes it, so that none is held unsettled.

    A quorum queue forgets a consumer that is gone and takes its messages back in one step.
    """
    connection = await aiormq.connect(broker_url)
    try:
        channel = await connection.channel()

        async def left_alone() -> list[int]:
            state = await channel.queue_declare(queue, passive=True, timeout=ANSWER_SECONDS)
            return [] if state.consumer_count else [int(state.message_count or 0)]

        (ready,) = await eventually(left_alone, within=CALM_SECONDS)
        return int(ready)
    finally:
        await connection.close()


async def wait_for_consumers(broker_url: str, count: int, queue: str = QUEUE) -> None:
    """Wait until the broker sees so many consumers of a queue."""
    connection = await aiormq.connect(broker_url)
    try:
        channel = await connection.channel()

        async def are_there() -> bool:
            state = await channel.queue_declare(queue, passive=True, timeout=ANSWER_SECONDS)
            return (state.consumer_count or 0) >= count

        await eventually(are_there, within=CALM_SECONDS)
    finally:
        await connection.close()


async def wait_for_messages(broker_url: str, count: int, queue: str = QUEUE) -> None:
    """Wait until a queue that nobody consumes holds exactly so many messages."""

    async def are_there() -> bool:
        return await ready_messages(broker_url, queue) >= count

    await eventually(are_there, within=CALM_SECONDS)
    balance("messages in the queue", await ready_messages(broker_url, queue), count)


def balance(what: str, found: int, expected: int) -> None:
    """Raise BooksDoNotBalance unless both are the same."""
    if found != expected:
        raise BooksDoNotBalance(f"{what}: {found}, and not {expected}")
