from datetime import timedelta

import pytest
from sqlalchemy import delete
from support.builders import a_message, a_user_created, an_envelope
from support.inboxes import (
    an_assignment,
    dead,
    done,
    has_left,
    is_alive,
    remembered,
    statuses,
    waiting,
    was_last_seen,
)
from support.tasks import AtMostOnceTask, RecordingTask

from consumer_service.claim import CRASH_LIMIT, Verdict
from consumer_service.dispatch import REPLAYS
from consumer_service.inbox import Inbox
from consumer_service.models import InboxMessage
from shared.transport import ATTEMPT

TWENTY_ONE = timedelta(seconds=21)
GRANTED, HELD, SUSPECT = Verdict.GRANTED, Verdict.HELD, Verdict.SUSPECT


async def dies(engine, worker):
    await was_last_seen(engine, worker, TWENTY_ONE)


async def killed_by(engine, assignment, times):
    """Let so many workers, one after the other, start this and die."""
    for number in range(times):
        name = f"victim {number}"
        await is_alive(engine, name)
        (verdict,) = await Inbox(engine, worker=name).start([assignment], alone=True)
        assert verdict is GRANTED
        await dies(engine, name)


async def test_a_first_start_is_granted_and_committed(engine, inbox):
    assignment = an_assignment(message=a_message(headers={ATTEMPT: 2}))

    assert await inbox.start([assignment]) == [GRANTED]

    row = await remembered(engine, assignment.key)
    assert (row.status, row.holder, row.starts, row.attempt, row.finished_at) == ("started", "this", 1, 2, None)


async def test_each_gets_its_own_verdict_in_the_order_in_which_it_asked(inbox, other):
    mine, held, fresh = (an_assignment() for _ in range(3))
    await inbox.start([mine])
    await inbox.finish(done(mine))
    await other.start([held])

    verdicts = await inbox.start([fresh, held, mine])

    assert verdicts == [GRANTED, HELD, Verdict.DONE]


async def test_what_is_done_is_not_started_again_by_anybody(inbox, other):
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(done(assignment))

    assert (await inbox.start([assignment]), await other.start([assignment])) == ([Verdict.DONE], [Verdict.DONE])


async def test_two_tasks_may_work_on_the_same_message(inbox):
    envelope = an_envelope()
    tasks = (RecordingTask(), AtMostOnceTask())

    assert await inbox.start([an_assignment(envelope, task=task) for task in tasks]) == [GRANTED, GRANTED]


async def test_the_same_id_with_another_body_is_a_conflict(inbox):
    first = an_assignment()
    await inbox.start([first])

    impostor = an_assignment(an_envelope(a_user_created(name="Eve"), id=first.envelope.id))

    assert await inbox.start([impostor]) == [Verdict.CONFLICT]


async def test_of_twins_in_one_batch_the_first_is_granted_and_the_others_are_held(inbox):
    envelope = an_envelope()
    twins = [an_assignment(envelope) for _ in range(3)]

    assert await inbox.start(twins) == [GRANTED, HELD, HELD]


async def test_a_twin_is_held_while_this_or_another_worker_works_on_it(inbox, other):
    assignment = an_assignment()
    await inbox.start([assignment])

    assert (await inbox.start([assignment]), await other.start([assignment])) == ([HELD], [HELD])


@pytest.mark.parametrize("end", [waiting, dead])
async def test_what_was_put_off_or_is_dead_may_be_started_by_anybody(engine, inbox, other, end):
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(end(assignment))

    assert await other.start([assignment]) == [GRANTED]
    row = await remembered(engine)
    assert (row.holder, row.starts, row.finished_at) == ("other", 1, None)


@pytest.mark.parametrize("departs", [dies, has_left])
async def test_what_a_departed_worker_held_is_suspect_until_it_is_started_alone(engine, inbox, other, departs):
    assignment = an_assignment()
    await other.start([assignment])
    await departs(engine, "other")

    assert await inbox.start([assignment]) == [SUSPECT]
    assert await inbox.start([assignment], alone=True) == [GRANTED]

    row = await remembered(engine)
    assert (row.holder, row.starts) == ("this", 2)


async def test_a_worker_that_was_seen_nineteen_seconds_ago_still_holds_what_it_started(engine, inbox, other):
    assignment = an_assignment()
    await other.start([assignment])

    await was_last_seen(engine, "other", timedelta(seconds=18))

    assert await inbox.start([assignment], alone=True) == [HELD]


async def test_a_message_of_which_three_workers_died_is_not_given_to_a_fourth(engine, inbox):
    assignment = an_assignment()
    await killed_by(engine, assignment, CRASH_LIMIT)

    assert await inbox.start([assignment]) == [Verdict.CRASH_LOOP]

    await inbox.finish(dead(assignment))
    assert (await remembered(engine)).status == "dead"


async def test_an_end_in_between_clears_a_message_of_suspicion(engine, inbox):
    assignment = an_assignment()
    await killed_by(engine, assignment, CRASH_LIMIT - 1)
    await inbox.start([assignment], alone=True)

    await inbox.finish(waiting(assignment))

    await inbox.start([assignment])
    assert (await remembered(engine)).starts == 1


async def test_what_must_not_be_repeated_is_ambiguous_after_a_death_and_this_worker_may_bury_it(engine, inbox, other):
    assignment = an_assignment(task=AtMostOnceTask())
    await other.start([assignment])
    await dies(engine, "other")

    assert await inbox.start([assignment], alone=True) == [Verdict.AMBIGUOUS]
    await inbox.finish(dead(assignment))

    assert (await remembered(engine)).status == "dead"


async def test_a_dead_letter_that_must_not_be_repeated_is_started_once_per_replay(inbox):
    envelope, task = an_envelope(), AtMostOnceTask()
    first = an_assignment(envelope, task=task)
    replay = an_assignment(message=a_message(envelope, headers={REPLAYS: 1}), task=task)
    await inbox.start([first])
    await inbox.finish(dead(first))

    redelivered = await inbox.start([first])
    await inbox.finish(dead(first))
    replayed = await inbox.start([replay])
    await inbox.finish(dead(replay))

    assert (redelivered, replayed) == ([Verdict.AMBIGUOUS], [GRANTED])
    assert await inbox.start([first]) == [Verdict.AMBIGUOUS]
    await inbox.finish(dead(first))
    assert await inbox.start([replay]) == [Verdict.AMBIGUOUS]


async def test_a_worker_that_lost_a_row_cannot_end_it(engine, inbox, other):
    assignment = an_assignment()
    await inbox.start([assignment])
    await dies(engine, "this")
    await other.start([assignment], alone=True)

    await inbox.finish(waiting(assignment))

    row = await remembered(engine)
    assert (row.status, row.holder) == ("started", "other")


async def test_what_is_done_stays_done(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(done(assignment))

    await inbox.finish(waiting(assignment))

    assert (await remembered(engine)).status == "done"


async def test_what_has_ended_is_known_though_the_database_forgot_that_it_was_started(engine, inbox, other):
    assignment = an_assignment()
    assert await inbox.start([assignment]) == [GRANTED]
    async with engine.begin() as connection:
        await connection.execute(delete(InboxMessage))

    await inbox.finish(done(assignment))

    row = await remembered(engine)
    assert (row.status, row.body_hash, row.attempt, row.starts) == ("done", assignment.body_hash, 1, 1)
    assert await other.start([assignment]) == [Verdict.DONE]


async def test_of_two_ends_of_one_message_in_one_go_the_last_counts(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])

    await inbox.finish([*waiting(assignment), *done(assignment)])

    assert (await remembered(engine)).status == "done"


async def test_an_end_is_recorded_with_its_reason_and_its_time(engine, inbox):
    assignment = an_assignment()
    await inbox.start([assignment])

    await inbox.finish(dead(assignment))

    row = await remembered(engine)
    assert (row.status, row.error) == ("dead", "never")
    assert row.finished_at is not None


async def test_asking_and_telling_nothing_is_harmless(inbox):
    await inbox.finish([])


async def test_any_id_that_a_reader_lets_in_can_be_kept(engine, inbox):
    envelopes = [an_envelope(id=id_) for id_ in ("é" * 255, " ", "%s {} ' \"", "😀", "a\u2028b")]
    assignments = [an_assignment(envelope) for envelope in envelopes]

    assert await inbox.start(assignments) == [GRANTED] * 5
    await inbox.finish(done(*assignments))

    assert await statuses(engine) == {envelope.id: "done" for envelope in envelopes}


async def test_a_nonsensical_attempt_does_not_upset_the_database(engine, inbox):
    assignment = an_assignment(message=a_message(headers={ATTEMPT: True, REPLAYS: True}))

    await inbox.start([assignment])

    assert (await remembered(engine)).attempt == 1


@pytest.mark.slow
async def test_hundreds_are_started_and_ended_in_one_go(engine, inbox):
    assignments = [an_assignment() for _ in range(300)]

    assert set(await inbox.start(assignments)) == {GRANTED}
    await inbox.finish(done(*assignments))

    assert set((await statuses(engine)).values()) == {"done"}
