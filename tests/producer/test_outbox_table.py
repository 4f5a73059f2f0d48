from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from sqlalchemy import MetaData, create_engine, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from support.databases import on_sqlite

from producer_service.database import open_engine
from producer_service.migrations import migrate
from producer_service.models import Base, OutboxRow
from producer_service.outbox import Outbox
from producer_service.outbox_table import TABLES, add_outbox, bring_up, record
from shared.contracts import Lane
from shared.envelope import EnvelopeReader
from shared.events import Event
from shared.transport import Message


class OrderPlaced(Event):
    wire_type: ClassVar[str] = "order.placed"

    order_id: str

    @property
    def subject(self):
        return self.order_id


class OrderCounted(OrderPlaced):
    """Of these there are many, and nobody waits for one."""

    wire_type: ClassVar[str] = "order.counted"
    lane: ClassVar[Lane] = Lane.BULK

    order_id: str = "all"


@pytest.fixture
async def theirs(database_url):
    """The empty database of another service."""
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def do(theirs):
    """Do something with a connection of theirs, and commit."""

    async def do(work):
        async with theirs.begin() as connection:
            return await connection.run_sync(work)

    return do


def look(connection):
    """What there is: the columns and indexes of every table."""
    found = inspect(connection)
    return {
        name: (
            {column["name"] for column in found.get_columns(name)},
            {index["name"] for index in found.get_indexes(name)},
        )
        for name in found.get_table_names()
    }


async def test_another_service_gets_the_outbox_and_nothing_else(do, theirs):
    assert not await Outbox(theirs).is_there()

    await do(bring_up)

    assert set(await do(look)) == set(TABLES)
    assert await Outbox(theirs).is_there()


async def test_bringing_up_makes_what_our_own_migrations_make_and_repeating_it_changes_nothing(do, theirs):
    await do(bring_up)
    brought = await do(look)
    await do(bring_up)
    assert await do(look) == brought

    await do(lambda connection: [connection.execute(text(f"DROP TABLE {name}")) for name in TABLES])
    await migrate(theirs)

    assert {name: made for name, made in (await do(look)).items() if name in TABLES}.keys() == brought.keys()
    assert [(await do(look))[name][0] for name in TABLES] == [brought[name][0] for name in TABLES]


async def test_an_older_outbox_is_brought_up_and_what_is_not_ours_is_left_alone(do, theirs):
    await do(bring_up)
    whole = await do(look)
    for statement in (
        "DROP INDEX outbox_published",
        "ALTER TABLE outbox DROP COLUMN published_at",
        "ALTER TABLE outbox ADD COLUMN newer TEXT",
        "CREATE TABLE orders (id INTEGER)",
    ):
        await do(lambda connection, statement=statement: connection.execute(text(statement)))
    assert not await Outbox(theirs).is_there()

    await do(bring_up)

    found = await do(look)
    assert found["outbox"] == (whole["outbox"][0] | {"newer"}, whole["outbox"][1])
    assert "orders" in found
    assert await Outbox(theirs).is_there()


async def test_what_a_session_commits_is_recorded_and_what_it_rolls_back_is_not(do, theirs):
    await do(bring_up)

    async with AsyncSession(theirs) as session:
        kept = record(session, OrderPlaced(order_id="17"), source="/orders", correlation_id="c-1")
        await session.commit()
        record(session, OrderPlaced(order_id="18"), source="/orders")
        await session.rollback()

    rows = "SELECT id, type, aggregateid, exchange, source, correlationid, status FROM outbox"
    found = await do(lambda connection: [tuple(row) for row in connection.execute(text(rows))])
    assert found == [(kept, "order.placed", "17", "domain.events", "/orders", "c-1", "pending")]


async def test_what_is_recorded_for_later_or_in_another_lane_stands_there(do, theirs):
    await do(bring_up)
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    async with AsyncSession(theirs) as session, session.begin():
        record(session, OrderPlaced(order_id="1"), source="/orders", delay=timedelta(hours=1))
        record(session, OrderPlaced(order_id="2"), source="/orders", deliver_at=tomorrow, lane=Lane.BULK)
        record(session, OrderCounted(), source="/orders")
        record(session, OrderCounted(), source="/orders", lane=Lane.NORMAL, delay=timedelta(0))

    async with AsyncSession(theirs) as session:
        rows = (await session.execute(select(OutboxRow).order_by(OutboxRow.position))).scalars().all()
    assert [(row.status, row.lane) for row in rows] == [("delayed", 0), ("delayed", 1), ("pending", 1), ("pending", 0)]
    assert timedelta(minutes=59) < rows[0].deliver_at - datetime.now(UTC) < timedelta(minutes=61)
    assert [row.deliver_at for row in rows[1:]] == [tomorrow, None, None]


@on_sqlite
@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"delay": timedelta(seconds=-1)}, "^delay: .* is negative"),
        ({"delay": timedelta(days=367)}, "^delay: .* is longer than the longest"),
        ({"deliver_at": datetime(2026, 11, 22)}, "^deliver_at: a moment needs a time zone"),  # noqa: DTZ001 - that is it
        ({"deliver_at": datetime(9999, 1, 1, tzinfo=UTC)}, "^deliver_at: .* lies further ahead"),
        ({"deliver_at": datetime(2026, 11, 22, tzinfo=UTC), "delay": timedelta(1)}, "give one of them"),
    ],
)
async def test_a_moment_that_makes_no_sense_is_refused_and_nothing_recorded(do, theirs, when, said):
    await do(bring_up)

    async with AsyncSession(theirs) as session, session.begin():
        with pytest.raises(ValueError, match=said):
            record(session, OrderPlaced(order_id="1"), source="/orders", **when)

    assert await do(lambda connection: connection.execute(text("SELECT count(*) FROM outbox")).scalar_one()) == 0


@on_sqlite
async def test_a_session_without_asyncio_records_too(do, database_url):
    await do(bring_up)
    engine = create_engine(database_url)

    with Session(engine) as session, session.begin():
        record(session, OrderPlaced(order_id="17"), source="/orders", delay=timedelta(hours=1))

    with engine.connect() as connection:
        payload = connection.execute(text("SELECT payload FROM outbox")).scalar_one()
    engine.dispose()
    assert EnvelopeReader([OrderPlaced]).read(Message(body=payload)).data == OrderPlaced(order_id="17")


def test_the_table_joins_the_metadata_of_the_service_and_leaves_ours_as_it_was():
    before, theirs = set(Base.metadata.tables), MetaData()

    table = add_outbox(theirs)

    assert (table.metadata is theirs, set(theirs.tables)) == (True, set(TABLES))
    assert set(Base.metadata.tables) == before
    assert any(each.name == "ck_outbox_status" for each in Base.metadata.tables["outbox"].constraints)
