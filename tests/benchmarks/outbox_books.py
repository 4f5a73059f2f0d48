"""Filling an outbox before a measurement: the rows that the producer's unit of work would have written."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
from benchmarks.books import ANSWER_SECONDS, come_to_rest
from benchmarks.contenders.message import events

from producer_service.database import open_engine
from producer_service.migrations import migrate
from shared.envelope import encode
from shared.topology import DOMAIN_EVENTS

COLUMNS = (
    "id",
    "aggregatetype",
    "aggregateid",
    "type",
    "payload",
    "exchange",
    "source",
    "correlationid",
    "time",
    "recorded_at",
)


async def prepare_producer_database(database_url: str) -> None:
    """Bring a new database to the producer's schema."""
    engine = open_engine(database_url)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()


async def fill_outbox(database_url: str, count: int) -> None:
    """Write so many pending rows, each of an aggregate of its own, and let the database come to rest."""
    connection = await asyncpg.connect(database_url, timeout=ANSWER_SECONDS, command_timeout=3600)
    try:
        await connection.copy_records_to_table("outbox", records=_rows(count), columns=COLUMNS)
    finally:
        await connection.close()
    await come_to_rest(database_url)


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    for event in events(count):
        yield (
            event.id,
            event.type.partition(".")[0],
            event.subject,
            event.type,
            encode(event),
            DOMAIN_EVENTS.name,
            event.source,
            event.correlation_id,
            event.time,
            datetime.now(UTC),
        )
