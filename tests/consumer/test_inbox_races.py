"""Workers, and twins within one worker, that want the same messages at the same moment."""

import asyncio
from random import Random

import pytest
from sqlalchemy.exc import OperationalError
from support.builders import a_new_id, an_envelope
from support.inboxes import (
    ForgetfulEngine,
    LingeringEngine,
    an_assignment,
    an_inbox_on,
    is_alive,
    remembered,
    waiting,
)
from support.waiting import eventually

from consumer_service.claim import Verdict

DICE = Random(7)  # noqa: S311 - a test's dice
GRANTED, HELD = Verdict.GRANTED, Verdict.HELD


def assignments_of_every_spelling(count):
    """Ids that a database's own language may sort otherwise than their bytes."""
    return [an_assignment(an_envelope(id=f"{DICE.choice('aBcD_-')}{a_new_id()}")) for _ in range(count)]


async def test_a_start_whose_answer_was_lost_is_granted_to_the_same_worker_again(engine, other):
    await is_alive(engine, "this")
    inbox, assignment = an_inbox_on(ForgetfulEngine(engine)), an_assignment()
    with pytest.raises(OperationalError):
        await inbox.start([assignment])

    assert await other.start([assignment]) == [HELD]
    assert await inbox.start([assignment]) == [GRANTED]


async def test_workers_that_want_overlapping_batches_at_once_never_share_a_message_and_never_deadlock(
    engine, inbox, other
):
    for _ in range(8 if engine.dialect.name == "postgresql" else 3):
        assignments = assignments_of_every_spelling(40)
        batches = [DICE.sample(assignments, 30) for _ in range(4)]

        answers = await asyncio.gather(
            *(worker.start(batch) for worker, batch in zip((inbox, other) * 2, batches, strict=True))
        )

        granted = [
            each.key
            for batch, verdicts in zip(batches, answers, strict=True)
            for each, verdict in zip(batch, verdicts, strict=True)
            if verdict is GRANTED
        ]
        wanted = {each.key for batch in batches for each in batch}
        assert sorted(granted, key=str) == sorted(wanted, key=str)


async def test_ending_and_starting_the_same_messages_at_once_never_deadlocks(engine, inbox, other):
    for _ in range(5 if engine.dialect.name == "postgresql" else 3):
        assignments = assignments_of_every_spelling(40)
        await inbox.start(assignments)

        async with asyncio.timeout(5):
            await asyncio.gather(
                inbox.finish(waiting(*DICE.sample(assignments, 40))), other.start(DICE.sample(assignments, 40))
            )


async def test_a_twin_finds_it_held_from_the_very_commit_of_the_start(engine):
    await is_alive(engine, "this")
    inbox, assignment = an_inbox_on(LingeringEngine(engine)), an_assignment()
    starting = asyncio.create_task(inbox.start([assignment]))
    await eventually(lambda: remembered(engine))

    twin = await inbox.start([assignment])

    assert (await starting, twin) == ([GRANTED], [HELD])


async def test_a_twin_that_starts_between_the_commit_of_an_end_and_its_answer_holds_it(engine):
    await is_alive(engine, "this")
    inbox, assignment = an_inbox_on(LingeringEngine(engine)), an_assignment()
    await inbox.start([assignment])
    ending = asyncio.create_task(inbox.finish(waiting(assignment)))
    await eventually(lambda: is_waiting(engine))

    twin = await inbox.start([assignment])
    await ending

    assert (twin, await inbox.start([assignment])) == ([GRANTED], [HELD])


async def is_waiting(engine):
    return (await remembered(engine)).status == "waiting"
