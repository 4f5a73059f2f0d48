import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from support.operators import ADA
from support.waiting import eventually

from producer_service.models import OutboxAction, Status
from producer_service.selection import Selection
from shared.transport import Fate

PARKED, PUBLISHED = Selection(status=Status.PARKED), Selection(status=Status.PUBLISHED)
ANN, BOB = UUID(int=1), UUID(int=2)
HOUR = timedelta(hours=1)


@pytest.fixture
def record(engine):
    """The record of the only action."""

    async def record():
        async with engine.connect() as connection:
            return (await connection.execute(select(OutboxAction.__table__))).one()

    return record


@pytest.fixture
def published(recorded, change):
    """Record messages as published, an hour ago and each a second after the one before."""

    async def published(*user_ids):
        ids = await recorded(*user_ids)
        for number, event_id in enumerate(ids):
            when = datetime.now(UTC) - HOUR + timedelta(seconds=number)
            await change(event_id, status=Status.PUBLISHED, published_at=when, attempts=1)
        return ids

    return published


async def test_one_parked_message_is_released_and_no_other(recorded, interventions, change, rows):
    parked, other = await recorded(uuid4(), uuid4())
    await change(parked, other, status=Status.PARKED, parked_reason="unroutable")

    released = await interventions.release(Selection(status=Status.PARKED, event_id=parked), ADA)

    assert released == 1
    assert [(row.status, row.parked_reason) for row in await rows()] == [("pending", None), ("parked", "unroutable")]


async def test_all_parked_messages_are_released_and_nothing_else(recorded, interventions, change, statuses):
    published, *parked = await recorded(*(uuid4() for _ in range(6)))
    await change(published, status=Status.PUBLISHED)
    await change(*parked, status=Status.PARKED)

    assert await interventions.release(PARKED, ADA) == 5
    assert await statuses() == ["published"] + ["pending"] * 5


async def test_messages_that_are_parked_again_at_once_are_released_once(
    recorded, interventions, change, make_relay, running, publisher, statuses
):
    ids = await recorded(*(uuid4() for _ in range(20)))
    await change(*ids, status=Status.PARKED, attempts=5)
    publisher.fates = dict.fromkeys(ids, Fate.UNROUTABLE)

    async with running(make_relay()):
        released = await interventions.release(PARKED, ADA)
        await eventually(lambda: len(publisher.ids) == 20)

    assert released == 20
    assert set(await statuses()) == {"parked"}


async def test_published_messages_are_published_again_under_the_same_ids_in_their_order(
    published, interventions, make_relay, running, publisher, all_published
):
    ids = await published(ANN, BOB, ANN, BOB, ANN)

    assert await interventions.republish(PUBLISHED, ADA) == 5
    async with running(make_relay()):
        await eventually(all_published)

    assert [id_ for id_ in publisher.ids if id_ in ids[::2]] == ids[::2]
    assert [id_ for id_ in publisher.ids if id_ in ids[1::2]] == ids[1::2]
    assert len(publisher.ids) == 5


async def test_what_is_published_while_others_are_republished_is_left_alone(
    published, interventions, make_relay, running, publisher, all_published
):
    ids = await published(*(uuid4() for _ in range(30)))

    async with running(make_relay()):
        republished = await interventions.republish(PUBLISHED, ADA)
        await eventually(all_published)

    assert republished == 30
    assert sorted(publisher.ids) == sorted(ids)


async def test_a_message_to_be_published_again_starts_over(published, interventions, rows):
    await published(ANN)

    await interventions.republish(PUBLISHED, ADA)

    (row,) = await rows()
    assert (row.status, row.attempts, row.published_at) == ("pending", 0, None)


async def test_a_new_message_waits_for_those_of_its_aggregate_that_go_again(
    published, recorded, interventions, make_relay, running, publisher, all_published
):
    old = await published(ANN, ANN)
    new = await recorded(ANN)
    await interventions.republish(PUBLISHED, ADA)

    async with running(make_relay()):
        await eventually(all_published)

    assert publisher.ids == old + new


async def test_only_what_was_selected_is_published_again(published, interventions, change, rows):
    early, late, other = await published(uuid4(), uuid4(), uuid4())
    await change(early, published_at=datetime.now(UTC) - 2 * HOUR)
    await change(other, type="user.other")
    since = Selection(status=Status.PUBLISHED, type="user.created", since=datetime.now(UTC) - 1.5 * HOUR)

    assert await interventions.republish(since, ADA) == 1
    assert [row.id for row in await rows() if row.status == "pending"] == [late]


async def test_old_published_messages_are_purged_and_nothing_else(published, recorded, interventions, change, rows):
    long_ago, *lately = await published(uuid4(), uuid4(), uuid4())
    await change(long_ago, published_at=datetime.now(UTC) - 3 * HOUR)
    pending = await recorded()

    purged = await interventions.purge(Selection(status=Status.PUBLISHED, until=datetime.now(UTC) - 2 * HOUR), ADA)

    assert purged == 1
    assert [row.id for row in await rows()] == [*lately, *pending]


async def test_a_purged_parked_message_lets_go_what_waited_behind_it(
    recorded, interventions, change, make_relay, running, publisher, rows
):
    parked, behind = await recorded(ANN, ANN)
    await change(parked, status=Status.PARKED)

    async with running(make_relay()):
        await interventions.purge(PARKED, ADA)
        await eventually(lambda: publisher.ids == [behind])

    assert [row.id for row in await rows()] == [behind]


@pytest.mark.parametrize("status", [Status.PENDING, Status.DELAYED])
async def test_a_message_that_is_still_to_be_sent_is_never_purged(recorded, interventions, change, statuses, status):
    await change(*await recorded(), status=status)

    with pytest.raises(ValueError, match="never purged"):
        await interventions.purge(Selection(status=status), ADA)

    assert await statuses() == [status]


async def test_every_change_is_on_record_with_who_why_what_and_how_many(recorded, interventions, change, record):
    ids = await recorded(*(uuid4() for _ in range(5)))
    await change(*ids, status=Status.PARKED, parked_reason="unroutable")

    await interventions.release(Selection(status=Status.PARKED, reason="unroutable"), ADA)

    action = await record()
    assert (action.by, action.why, action.action, action.rows) == (ADA.by, ADA.why, "release", 5)
    assert json.loads(action.selection) == {"status": "parked", "reason": "unroutable"}
    assert datetime.now(UTC) - action.at < timedelta(minutes=1)


async def test_an_attempt_that_changed_nothing_is_on_record_too(interventions, record):
    await interventions.republish(PUBLISHED, ADA)

    assert (await record()).rows == 0


async def test_a_reveal_is_on_record(interventions, record):
    await interventions.record_reveal('an "odd" id', ADA)

    action = await record()
    assert (action.action, action.rows, json.loads(action.selection)) == ("reveal", 1, {"event_id": 'an "odd" id'})
