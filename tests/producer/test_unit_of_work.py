from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker
from support.builders import a_user_created
from support.databases import on_sqlite

from producer_service.models import User
from producer_service.unit_of_work import Travel, UnitOfWork
from shared.commands import COMMANDS, SendMail
from shared.contracts import Lane
from shared.envelope import EnvelopeReader
from shared.events import EVENTS
from shared.transport import Message

ANN = {"email": "ann@example.org", "email_key": "ann@example.org", "name": "", "password_hash": "", "locale": "en"}
READER = EnvelopeReader((*EVENTS, *COMMANDS))


class Bell:
    """Remembers for which lanes it was rung."""

    def __init__(self):
        self.rung = []

    def ring(self, lanes):
        self.rung.append(set(lanes))


class Interrupted(Exception):
    """Anything at all went wrong."""


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def open_unit(engine, bell):
    def open_unit(travel=None):
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        return UnitOfWork(sessions=sessions, source="/here", travel=travel or Travel(), committed=bell.ring)

    return open_unit


@pytest.fixture
def counted(engine):
    """Count the users that were committed."""

    async def counted():
        async with engine.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(User))).scalar_one()

    return counted


async def add_ann(unit):
    event = a_user_created()
    await unit.session.execute(insert(User).values(id=event.user_id, **ANN))
    unit.record(event)


async def test_a_change_and_its_event_are_committed_together(open_unit, counted, rows):
    async with open_unit() as unit:
        await add_ann(unit)
        await unit.commit()

    assert (await counted(), len(await rows())) == (1, 1)


async def test_leaving_without_a_commit_undoes_both(open_unit, counted, rows):
    async with open_unit() as unit:
        await add_ann(unit)

    assert (await counted(), len(await rows())) == (0, 0)


async def test_an_error_undoes_both(open_unit, counted, rows):
    async def fail():
        async with open_unit() as unit:
            await add_ann(unit)
            raise Interrupted

    with pytest.raises(Interrupted):
        await fail()

    assert (await counted(), len(await rows())) == (0, 0)


async def test_a_change_that_cannot_be_committed_leaves_no_event(open_unit, counted, rows):
    async with open_unit() as unit:
        await add_ann(unit)
        await unit.commit()

    async with open_unit() as unit:
        unit.record(a_user_created(name="a second time"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            await add_ann(unit)

    assert (await counted(), len(await rows())) == (1, 1)


@on_sqlite
async def test_only_a_commit_wakes_the_relay(open_unit, bell):
    async with open_unit() as unit:
        await add_ann(unit)
        before = list(bell.rung)
        await unit.commit()

    async with open_unit() as unit:
        unit.record(a_user_created())

    assert (before, bell.rung) == ([], [{Lane.NORMAL}])


@on_sqlite
async def test_a_commit_wakes_the_relays_of_the_lanes_in_which_it_left_something_to_publish(open_unit, bell):
    async with open_unit() as unit:
        unit.record(a_user_created(), lane=Lane.BULK)
        await unit.commit()
        await unit.commit()
        unit.record(a_user_created(), delay=timedelta(hours=1))
        await unit.commit()
        unit.record(a_user_created())
        unit.record(a_user_created(), lane=Lane.BULK)
        await unit.commit()

    assert bell.rung == [{Lane.BULK}, {Lane.NORMAL, Lane.BULK}]


@on_sqlite
async def test_a_message_carries_what_its_request_handed_on(open_unit, rows):
    travel = Travel(correlation_id="c-7", causation_id="m-6", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")

    async with open_unit(travel) as unit:
        event_id = unit.record(a_user_created())
        await unit.commit()

    (row,) = await rows()
    envelope = READER.read(Message(body=row.payload))
    assert (envelope.id, envelope.source, envelope.correlation_id) == (event_id, "/here", "c-7")
    assert (envelope.causation_id, envelope.traceparent) == ("m-6", travel.traceparent)


@on_sqlite
async def test_one_unit_records_many_messages_in_order(open_unit, rows):
    async with open_unit() as unit:
        ids = [
            unit.record(a_user_created()),
            unit.record(SendMail(to="ann@example.org")),
            unit.record(a_user_created()),
        ]
        await unit.commit()

    assert [row.id for row in await rows()] == ids


async def test_a_message_may_be_recorded_for_later_by_a_delay_or_a_moment(open_unit, rows):
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    async with open_unit() as unit:
        unit.record(a_user_created(), delay=timedelta(hours=1))
        unit.record(a_user_created(), deliver_at=tomorrow)
        unit.record(a_user_created(), delay=timedelta(0))
        await unit.commit()

    in_an_hour, at_a_moment, at_once = await rows()
    assert [row.status for row in (in_an_hour, at_a_moment, at_once)] == ["delayed", "delayed", "pending"]
    assert timedelta(minutes=59) < in_an_hour.deliver_at - datetime.now(UTC) < timedelta(minutes=61)
    assert (at_a_moment.deliver_at, at_once.deliver_at) == (tomorrow, None)


@on_sqlite
async def test_a_message_stands_in_the_lane_of_its_class_or_the_one_it_was_recorded_for(open_unit, rows):
    async with open_unit() as unit:
        unit.record(a_user_created())
        unit.record(a_user_created(), lane=Lane.BULK)
        unit.record(SendMail(to="ann@example.org"))
        unit.record(SendMail(to="ann@example.org"), lane=Lane.NORMAL)
        await unit.commit()

    assert [row.lane for row in await rows()] == [Lane.NORMAL, Lane.BULK, Lane.BULK, Lane.NORMAL]


@on_sqlite
async def test_a_delay_that_makes_no_sense_is_refused_before_anything_is_recorded(open_unit, rows):
    async with open_unit() as unit:
        with pytest.raises(ValueError, match="longer"):
            unit.record(a_user_created(), delay=timedelta(days=4000))
        await unit.commit()

    assert await rows() == []


@on_sqlite
async def test_a_message_may_bring_its_own_id_but_no_two_the_same(open_unit, rows):
    for _ in range(2):
        async with open_unit() as unit:
            unit.record(a_user_created(), message_id="mine")
            try:
                await unit.commit()
            except IntegrityError:
                break

    assert [row.id for row in await rows()] == ["mine"]
