from dataclasses import replace

import pytest
from support.builders import an_envelope
from support.dead_letters import AT_MOST_ONCE, READERS, TRANSACTIONAL, a_dead_message, buried, put_in_state
from support.inboxes import an_assignment, dead, done
from support.tasks import AtMostOnceTask, TransactionalTask

from consumer_service.dead_letters.forecast import Prospect, forecast
from consumer_service.lifecycle import State
from shared.transport import Message


async def foreseen(engine, *messages, readers=READERS):
    letters = await buried(engine, *messages)
    return await forecast(engine, readers, [letter.id for letter in letters])


async def ended(inbox, finishes, *assignments):
    await inbox.start(list(assignments))
    await inbox.finish(finishes(*assignments))


async def test_what_was_done_before_is_skipped(engine, inbox):
    envelope = an_envelope()
    await ended(inbox, done, an_assignment(envelope))

    (found,) = await foreseen(engine, a_dead_message(envelope))

    assert (found.prospect, found.words) == (Prospect.SKIPPED, "it was done before")


async def test_what_failed_runs_again_and_its_effect_may_have_happened(engine, inbox):
    envelope = an_envelope()
    await ended(inbox, dead, an_assignment(envelope))

    (found,) = await foreseen(engine, a_dead_message(envelope))

    assert (found.prospect, found.task, found.guarantee) == (Prospect.RUNS, "RecordingTask", "at_least_once")
    assert "same idempotency key" in found.words


@pytest.mark.parametrize(
    ("task", "readers", "words"),
    [
        (AtMostOnceTask, AT_MOST_ONCE, "must not be repeated and may have happened"),
        (TransactionalTask, TRANSACTIONAL, "its own rows are written once"),
    ],
)
async def test_every_guarantee_has_its_own_warning(engine, inbox, task, readers, words):
    envelope = an_envelope()
    await ended(inbox, dead, an_assignment(envelope, task=task()))

    (found,) = await foreseen(engine, a_dead_message(envelope), readers=readers)

    assert found.prospect is Prospect.RUNS
    assert words in found.words


async def test_what_was_never_started_runs_for_the_first_time(engine):
    (found,) = await foreseen(engine, a_dead_message())

    assert (found.prospect, found.words) == (Prospect.RUNS, "the inbox has no trace of it")


async def test_what_a_worker_has_right_now_waits_for_that_one(engine, inbox):
    envelope = an_envelope()
    await inbox.start([an_assignment(envelope)])

    (found,) = await foreseen(engine, a_dead_message(envelope))

    assert "at this moment" in found.words


async def test_another_body_under_a_known_id_dies_again(engine, inbox):
    envelope = an_envelope()
    await ended(inbox, done, an_assignment(envelope))
    message = a_dead_message(envelope)

    (found,) = await foreseen(engine, replace(message, body=message.body.replace(b"ann@", b"eve@")))

    assert (found.prospect, "edit it" in found.words) == (Prospect.DIES, True)


async def test_an_id_conflict_stays_one_when_the_inbox_has_forgotten_the_other(engine):
    (found,) = await foreseen(engine, a_dead_message(reason="id_conflict"))

    assert found.prospect is Prospect.DIES


async def test_what_no_task_can_read_dies_again(engine):
    (found,) = await foreseen(engine, Message(b"{", message_id="m-1"))

    assert (found.prospect, found.words) == (Prospect.DIES, "no task of this code can read it (malformed)")


async def test_what_must_not_be_repeated_may_be_when_its_replay_is_the_newest(engine, inbox):
    envelope = an_envelope()
    message = a_dead_message(envelope, replays=1)
    await ended(inbox, dead, an_assignment(envelope, task=AtMostOnceTask(), message=message))
    (letter,) = await buried(engine, message)

    (waiting,) = await forecast(engine, AT_MOST_ONCE, [letter.id])
    await put_in_state(engine, State.REPLAYING, letter)
    (under_way,) = await forecast(engine, AT_MOST_ONCE, [letter.id])

    assert (waiting.prospect, under_way.prospect) == (Prospect.RUNS, Prospect.DIES)


async def test_answers_come_in_the_order_of_the_question_and_leave_out_what_is_gone(engine):
    first, second = await buried(engine, a_dead_message(), a_dead_message())

    found = await forecast(engine, READERS, [second.id, 999, first.id])

    assert [each.id for each in found] == [second.id, first.id]
