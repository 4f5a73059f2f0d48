"""What `Inbox.transaction` promises: the row and the task's own rows happen together."""

import asyncio

import pytest
from sqlalchemy import insert, text
from support.builders import an_envelope
from support.inboxes import an_assignment, dead, has_left, is_alive, remembered, statuses, waiting
from support.tasks import EFFECTS, TransactionalTask, effects
from support.waiting import eventually

from consumer_service.claim import CRASH_LIMIT, Verdict
from consumer_service.inbox import Inbox

TASK = TransactionalTask()
GRANTED = Verdict.GRANTED


class Interrupted(Exception):
    """What a task might raise."""


def an_effect(assignment):
    return insert(EFFECTS).values(message_id=assignment.envelope.id)


async def take_effect(inbox, assignment, *, after=None, error=None):
    async with inbox.transaction([assignment]) as (session, (verdict,)):
        if verdict is GRANTED:
            await session.execute(an_effect(assignment))
        if after is not None:
            await after.wait()
        if error is not None:
            raise error
    return verdict


async def test_the_effect_and_the_row_are_committed_together(engine, inbox):
    assignment = an_assignment(task=TASK)

    assert await take_effect(inbox, assignment) is GRANTED

    row = await remembered(engine)
    assert row.status == "done"
    assert row.finished_at is not None
    assert await effects(engine) == {assignment.envelope.id: 1}


async def test_an_error_leaves_no_trace_of_either(engine, inbox):
    assignment = an_assignment(task=TASK)

    with pytest.raises(Interrupted):
        await take_effect(inbox, assignment, error=Interrupted())

    assert (await remembered(engine), await effects(engine)) == (None, {})


async def test_a_second_transaction_finds_it_done(engine, inbox, other):
    assignment = an_assignment(task=TASK)
    await take_effect(inbox, assignment)

    assert await take_effect(inbox, assignment) is Verdict.DONE
    assert await take_effect(other, assignment) is Verdict.DONE
    assert await effects(engine) == {assignment.envelope.id: 1}


async def test_what_this_delivery_has_started_first_is_granted_and_done(engine, inbox):
    assignment = an_assignment(task=TASK, redelivered=True)
    await inbox.start([assignment])

    assert await take_effect(inbox, assignment) is GRANTED

    assert (await remembered(engine)).status == "done"
    assert await inbox.start([assignment]) == [Verdict.DONE]


async def test_what_was_started_first_is_still_started_after_an_error(engine, inbox):
    assignment = an_assignment(task=TASK, redelivered=True)
    await inbox.start([assignment])

    with pytest.raises(Interrupted):
        await take_effect(inbox, assignment, error=Interrupted())

    assert (await remembered(engine)).status == "started"
    await inbox.finish(waiting(assignment))
    assert await take_effect(inbox, assignment) is GRANTED


async def test_a_delivery_is_held_while_its_twin_that_was_started_first_is_not_ended(engine, inbox):
    envelope = an_envelope()
    started, twin = an_assignment(envelope, task=TASK, redelivered=True), an_assignment(envelope, task=TASK)
    await inbox.start([started])

    assert await take_effect(inbox, twin) is Verdict.HELD

    assert await effects(engine) == {}


async def test_what_another_worker_has_started_is_held(inbox, other):
    assignment = an_assignment(task=TASK, redelivered=True)
    await other.start([assignment])

    assert await take_effect(inbox, an_assignment(assignment.envelope, task=TASK)) is Verdict.HELD


async def test_a_refusal_is_not_recorded_as_done(engine, inbox):
    started = an_assignment(task=TASK, redelivered=True)
    for number in range(CRASH_LIMIT):
        await is_alive(engine, f"victim {number}")
        await Inbox(engine, worker=f"victim {number}").start([started], alone=True)
        await has_left(engine, f"victim {number}")

    assert await take_effect(inbox, an_assignment(started.envelope, task=TASK)) is Verdict.CRASH_LOOP

    assert (await remembered(engine)).status == "started"


async def test_a_dead_letter_may_be_done_after_all(engine, inbox):
    assignment = an_assignment(task=TASK, redelivered=True)
    await inbox.start([assignment])
    await inbox.finish(dead(assignment))

    assert await take_effect(inbox, an_assignment(assignment.envelope, task=TASK)) is GRANTED

    row = await remembered(engine)
    assert row.status == "done"
    assert row.finished_at is not None


async def test_a_twin_waits_for_the_commit_and_finds_it_done(postgres_engine):
    first, second = (Inbox(postgres_engine, worker=name) for name in ("this", "other"))
    assignment, commit = an_assignment(task=TASK), asyncio.Event()
    working = asyncio.create_task(take_effect(first, assignment, after=commit))
    await eventually(lambda: is_in_transaction(postgres_engine))

    waiting_twin = asyncio.create_task(take_effect(second, assignment))
    await eventually(lambda: is_waiting_for_a_lock(postgres_engine))
    commit.set()

    assert await asyncio.gather(working, waiting_twin) == [GRANTED, Verdict.DONE]
    assert await effects(postgres_engine) == {assignment.envelope.id: 1}


async def test_a_twin_takes_over_when_the_first_rolls_back(postgres_engine):
    first, second = (Inbox(postgres_engine, worker=name) for name in ("this", "other"))
    assignment, commit = an_assignment(task=TASK), asyncio.Event()
    working = asyncio.create_task(take_effect(first, assignment, after=commit))
    await eventually(lambda: is_in_transaction(postgres_engine))
    waiting_twin = asyncio.create_task(take_effect(second, assignment))
    await eventually(lambda: is_waiting_for_a_lock(postgres_engine))

    working.cancel()

    assert await waiting_twin is GRANTED
    assert await effects(postgres_engine) == {assignment.envelope.id: 1}


async def test_many_at_once_over_few_messages_have_each_effect_once(postgres_engine):
    inboxes = [Inbox(postgres_engine, worker=name) for name in ("this", "other")]
    envelopes = [an_envelope() for _ in range(5)]

    verdicts = await asyncio.gather(
        *(take_effect(inbox, an_assignment(envelope, task=TASK)) for envelope in envelopes for inbox in inboxes * 3)
    )

    assert verdicts.count(GRANTED) == len(envelopes)
    assert await effects(postgres_engine) == {envelope.id: 1 for envelope in envelopes}
    assert set((await statuses(postgres_engine)).values()) == {"done"}


async def is_in_transaction(engine):
    return await count(engine, "state = 'idle in transaction' AND query LIKE '%effects%'")


async def is_waiting_for_a_lock(engine):
    return await count(engine, "wait_event_type = 'Lock' AND query LIKE '%inbox%'")


async def count(engine, condition):
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"  # noqa: S608
    async with engine.connect() as connection:
        return await connection.scalar(text(query))
