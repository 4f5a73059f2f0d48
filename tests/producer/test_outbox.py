from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_user_created, an_envelope

from producer_service.models import Status
from producer_service.outbox import record
from shared.commands import SendMail
from shared.contracts import Lane
from shared.envelope import EnvelopeReader, encode
from shared.errors import OversizedMessage
from shared.events import EVENTS
from shared.transport import Message

WEEK = timedelta(days=7)


async def test_a_recorded_event_is_pending_with_its_final_bytes(engine, rows):
    envelope = an_envelope()

    async with AsyncSession(engine) as session, session.begin():
        record(session, envelope)

    (row,) = await rows()
    assert row.payload == encode(envelope)
    assert (row.status, row.attempts, row.available_at) == ("pending", 0, None)


async def test_what_a_broker_shows_stands_in_columns(engine, rows):
    envelope = an_envelope(correlation_id="c-9")

    async with AsyncSession(engine) as session, session.begin():
        record(session, envelope)

    (row,) = await rows()
    assert (row.id, row.type, row.exchange) == (envelope.id, "user.created", "domain.events")
    assert (row.source, row.correlationid, row.time) == (envelope.source, "c-9", envelope.time)


async def test_the_columns_of_the_outbox_event_router_are_filled(engine, rows):
    envelope = an_envelope()

    async with AsyncSession(engine) as session, session.begin():
        record(session, envelope)

    (row,) = await rows()
    assert (row.aggregatetype, row.aggregateid) == ("user", envelope.subject)
    assert EnvelopeReader(EVENTS).read(Message(body=row.payload)) == envelope


async def test_a_command_goes_to_the_exchange_of_tasks(engine, rows):
    async with AsyncSession(engine) as session, session.begin():
        record(session, an_envelope(SendMail(to="ann@example.org")))

    (row,) = await rows()
    assert (row.exchange, row.type, row.aggregatetype) == ("domain.tasks", "mail.send", "mail")


async def test_nothing_is_recorded_when_the_transaction_rolls_back(engine, rows):
    async with AsyncSession(engine) as session:
        record(session, an_envelope())
        await session.flush()

    assert await rows() == []


async def test_a_message_that_no_reader_would_accept_is_refused_before_the_commit(engine):
    variables = {f"v{n}": "x" * 10_000 for n in range(40)}

    async with AsyncSession(engine) as session:
        with pytest.raises(OversizedMessage, match=r"mail\.send"):
            record(session, an_envelope(SendMail(to="ann@example.org", variables=variables)))


async def test_messages_recorded_together_keep_their_order(engine, rows):
    envelopes = [an_envelope(a_user_created(name=str(n))) for n in range(50)]

    async with AsyncSession(engine) as session, session.begin():
        for envelope in envelopes:
            record(session, envelope)

    assert [row.id for row in await rows()] == [envelope.id for envelope in envelopes]


async def test_a_message_stands_where_it_was_recorded(recorded, outbox):
    (event_id,) = await recorded()

    standing = await outbox.stands(event_id)

    assert (standing.id, standing.status, standing.attempts) == (event_id, "pending", 0)
    assert datetime.now(UTC) - standing.recorded_at < timedelta(seconds=30)


async def test_a_message_that_was_never_recorded_stands_nowhere(outbox):
    assert await outbox.stands("never") is None


async def test_an_empty_outbox_has_no_backlog(outbox):
    backlog = await outbox.backlog()

    assert (backlog.pending, backlog.parked, backlog.oldest_seconds) == (0, 0, 0.0)


async def test_the_backlog_counts_what_is_pending_and_parked(recorded, outbox, change):
    first, second, third, _ = await recorded(*(uuid4() for _ in range(4)))
    await change(first, status=Status.PUBLISHED)
    await change(second, status=Status.PARKED)
    await change(third, recorded_at=datetime.now(UTC) - timedelta(hours=1))

    backlog = await outbox.backlog()

    assert (backlog.pending, backlog.parked) == (2, 1)
    assert 3600 <= backlog.oldest_seconds < 3700


async def test_a_delayed_row_is_no_backlog_until_its_time_has_come_and_has_waited_since_then(recorded, outbox, change):
    held, due = await recorded(uuid4(), uuid4())
    long_ago, lately = datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) - timedelta(seconds=5)
    await change(held, status=Status.DELAYED, recorded_at=long_ago, deliver_at=datetime.now(UTC) + timedelta(days=1))
    await change(due, recorded_at=long_ago, deliver_at=lately)

    backlog = await outbox.backlog()

    assert (backlog.pending, backlog.delayed) == (1, 1)
    assert 5 <= backlog.oldest_seconds < 60


async def test_the_oldest_of_any_lane_is_the_oldest(recorded, outbox, change):
    normal, bulk = await recorded(uuid4(), uuid4())
    await change(bulk, lane=Lane.BULK, recorded_at=datetime.now(UTC) - timedelta(hours=1))

    assert 3600 <= (await outbox.backlog()).oldest_seconds < 3700
    await change(bulk, lane=Lane.NORMAL)
    await change(normal, lane=Lane.BULK, recorded_at=datetime.now(UTC) - timedelta(hours=2))
    assert 7200 <= (await outbox.backlog()).oldest_seconds < 7300


@pytest.mark.parametrize(("most", "counted"), [(1, 1), (3, 3), (10, 3)])
async def test_pending_rows_are_counted_up_to_a_number(recorded, outbox, change, most, counted):
    published, *_ = await recorded(*(uuid4() for _ in range(4)))
    await change(published, status=Status.PUBLISHED)

    assert await outbox.pending_up_to(most) == counted


async def test_only_what_was_published_long_ago_is_purged(recorded, outbox, change, rows):
    long_ago, lately, pending, parked = await recorded(*(uuid4() for _ in range(4)))
    past = datetime.now(UTC) - timedelta(days=8)
    await change(long_ago, status=Status.PUBLISHED, published_at=past)
    await change(lately, status=Status.PUBLISHED, published_at=datetime.now(UTC))
    await change(pending, parked, recorded_at=past, time=past)
    await change(parked, status=Status.PARKED)

    purged = await outbox.purge_published(WEEK)

    assert purged == 1
    assert [row.id for row in await rows()] == [lately, pending, parked]


async def test_what_was_cancelled_long_ago_is_purged_too_and_what_is_delayed_is_not(recorded, outbox, change, rows):
    long_ago, lately, delayed = await recorded(*(uuid4() for _ in range(3)))
    past = datetime.now(UTC) - timedelta(days=8)
    await change(long_ago, lately, status=Status.CANCELLED, cancelled_at=past)
    await change(lately, cancelled_at=datetime.now(UTC))
    await change(delayed, status=Status.DELAYED, recorded_at=past, deliver_at=past)

    assert [await outbox.purge_published(WEEK, most=2), await outbox.purge_published(WEEK, most=2)] == [1, 0]
    assert [row.id for row in await rows()] == [lately, delayed]


async def test_a_purge_takes_a_small_bite(recorded, outbox, change):
    ids = await recorded(*(uuid4() for _ in range(5)))
    await change(*ids, status=Status.PUBLISHED, published_at=datetime.now(UTC) - timedelta(days=8))

    assert [await outbox.purge_published(WEEK, most=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_the_position_of_a_purged_row_is_never_given_again(recorded, outbox, change, rows):
    ids = await recorded(uuid4(), uuid4())
    last = (await rows())[-1].position
    await change(*ids, status=Status.PUBLISHED, published_at=datetime.now(UTC) - timedelta(days=8))
    await outbox.purge_published(WEEK)

    await recorded()

    assert (await rows())[0].position > last
