import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update
from structlog.testing import capture_logs
from support.dead_letters import a_dead_message, buried, grown_old, put_in_state, the_letter, the_letters
from support.inboxes import an_assignment, dead, done, long_ago, statuses, waiting, was_last_seen
from support.waiting import eventually

from consumer_service.lifecycle import FINAL, HELD, State
from consumer_service.models import InboxMessage, WorkerRow
from consumer_service.retention import FORGOTTEN_AT_ONCE, expire, forget, forget_for_ever, rows

A_MONTH, A_WEEK = timedelta(days=30), timedelta(days=7)


async def aged(engine, *assignments, by=timedelta(days=31)):
    ids = [each.envelope.id for each in assignments]
    for column in (InboxMessage.started_at, InboxMessage.finished_at):
        async with engine.begin() as connection:
            older = update(InboxMessage).where(InboxMessage.message_id.in_(ids), column.is_not(None))
            await connection.execute(older.values({column: long_ago(engine, by)}))


async def test_what_ended_long_ago_is_forgotten_however_it_ended(engine, inbox):
    old, young = [an_assignment() for _ in range(3)], an_assignment()
    await inbox.start([*old, young])
    await inbox.finish([*done(old[0]), *waiting(old[1]), *dead(old[2]), *done(young)])
    await aged(engine, *old)

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == 3

    assert await statuses(engine) == {young.envelope.id: "done"}


async def test_what_a_dead_worker_left_is_forgotten_too_in_the_end(engine, inbox):
    left, held = an_assignment(), an_assignment()
    await inbox.start([left, held])
    await aged(engine, left)

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == 1

    assert await statuses(engine) == {held.envelope.id: "started"}


async def test_how_long_is_for_the_operator_to_say(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(done(assignment))
    await aged(engine, assignment, by=timedelta(days=8))

    assert (
        await forget(engine, keep=A_MONTH, replayable=A_WEEK),
        await forget(engine, keep=A_WEEK, replayable=A_WEEK),
    ) == (0, 1)


async def test_more_than_one_batch_is_forgotten_in_one_sweep(engine):
    row = {"task": "T", "body_hash": b"", "status": "done", "holder": "gone", "finished_at": None}
    rows = [row | {"message_id": str(number)} for number in range(FORGOTTEN_AT_ONCE + 5)]
    async with engine.begin() as connection:
        await connection.execute(insert(InboxMessage), rows)
        await connection.execute(update(InboxMessage).values(started_at=long_ago(engine, A_MONTH * 2)))

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == FORGOTTEN_AT_ONCE + 5


async def test_workers_are_remembered_for_a_day(engine):
    await was_last_seen(engine, "yesterday", timedelta(hours=23))
    await was_last_seen(engine, "before", timedelta(hours=25))

    await forget(engine, keep=A_MONTH, replayable=A_WEEK)

    async with engine.connect() as connection:
        assert list(await connection.scalars(select(WorkerRow.id))) == ["yesterday"]


async def test_a_row_that_is_being_worked_on_keeps_nobody_waiting(postgres_engine):
    async with postgres_engine.begin() as connection:
        await connection.execute(
            insert(InboxMessage).values(task="T", message_id="1", body_hash=b"", status="started", holder="this")
        )
        await connection.execute(update(InboxMessage).values(started_at=long_ago(postgres_engine, A_MONTH * 2)))

    async with postgres_engine.begin() as connection:
        await connection.execute(select(InboxMessage.task).with_for_update())
        async with asyncio.timeout(2):
            assert await forget(postgres_engine, keep=A_MONTH, replayable=A_WEEK) == 0


async def test_forgets_again_and_again_and_survives_a_database_that_is_away(no_database):
    with capture_logs() as lines:
        sweeping = asyncio.create_task(
            forget_for_ever(no_database, keep=A_MONTH, replayable=A_WEEK, remembered=lambda _: None, pause_seconds=0.01)
        )
        await eventually(lambda: len(lines) > 2)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)

    assert {line["event"] for line in lines} == {"inbox.not_swept"}


async def done_long_ago(inbox, engine):
    """Return an envelope whose task was done two months ago."""
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(done(assignment))
    await aged(engine, assignment, by=A_MONTH * 2)
    return assignment.envelope


@pytest.mark.parametrize("state", sorted(HELD))
async def test_what_was_done_is_remembered_as_long_as_a_dead_letter_of_it_may_be_worked_on(engine, inbox, state):
    envelope = await done_long_ago(inbox, engine)
    (letter,) = await buried(engine, a_dead_message(envelope))
    await put_in_state(engine, state, letter)

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == 0

    assert await statuses(engine) == {envelope.id: "done"}


@pytest.mark.parametrize("state", sorted(set(State) - HELD))
async def test_a_dead_letter_that_is_decided_on_holds_nothing_back(engine, inbox, state):
    envelope = await done_long_ago(inbox, engine)
    (letter,) = await buried(engine, a_dead_message(envelope))
    await put_in_state(engine, state, letter)

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == 1


async def test_a_dead_letter_expires_before_it_lets_go_of_what_was_done(engine, inbox):
    envelope = await done_long_ago(inbox, engine)
    (letter,) = await buried(engine, a_dead_message(envelope))
    await grown_old(engine, letter, by=timedelta(days=8))

    assert await forget(engine, keep=A_MONTH, replayable=A_WEEK) == 1

    assert (await the_letter(engine, letter.id)).state is State.EXPIRED


async def test_one_that_stood_in_the_broker_for_too_long_expires_by_the_time_of_its_death(engine):
    long_dead = a_dead_message(died_at=datetime.now(UTC) - timedelta(days=8))
    (letter,) = await buried(engine, long_dead)

    await forget(engine, keep=A_MONTH, replayable=A_WEEK)

    assert (await the_letter(engine, letter.id)).state is State.EXPIRED


async def test_what_expires_is_counted_and_said(engine):
    await buried(engine, a_dead_message(died_at=datetime.now(UTC) - timedelta(days=8)), a_dead_message())

    with capture_logs() as lines:
        assert await expire(engine, replayable=A_WEEK) == 1

    assert lines == [{"event": "dead_letters.expired", "count": 1, "log_level": "info"}]


async def test_a_replay_that_was_begun_and_never_finished_expires_too(engine):
    old, young = await buried(engine, *(a_dead_message(died_at=datetime.now(UTC) - A_MONTH) for _ in range(2)))
    await put_in_state(engine, State.REPLAYING, old, young)
    await grown_old(engine, old, by=timedelta(days=8))

    await forget(engine, keep=A_MONTH, replayable=A_WEEK)

    states = [(await the_letter(engine, letter.id)).state for letter in (old, young)]
    assert states == [State.EXPIRED, State.REPLAYING]


@pytest.mark.parametrize("state", sorted(State))
async def test_what_was_decided_on_long_ago_is_deleted_and_what_waits_never_is(engine, state):
    (letter,) = await buried(engine, a_dead_message())
    await put_in_state(engine, state, letter)
    await grown_old(engine, letter, by=timedelta(days=31), last_died_at=letter.last_died_at)

    await forget(engine, keep=A_MONTH, replayable=A_MONTH * 2)

    assert len(await the_letters(engine)) == (0 if state in FINAL else 1)


async def test_after_a_sweep_it_is_told_how_many_rows_are_left(engine, inbox):
    await inbox.start([an_assignment() for _ in range(3)])
    if engine.dialect.name == "postgresql":
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE inbox"))
    told = []

    sweeping = asyncio.create_task(
        forget_for_ever(engine, keep=A_MONTH, replayable=A_WEEK, remembered=told.append, pause_seconds=3600)
    )
    await eventually(lambda: told)
    sweeping.cancel()

    assert told == [3]
    assert await rows(engine) == 3
