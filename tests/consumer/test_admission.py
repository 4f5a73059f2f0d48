import asyncio
from datetime import timedelta

import pytest
from support.builders import a_message, a_user_created, an_envelope
from support.inboxes import (
    ForgetfulEngine,
    an_assignment,
    an_inbox_on,
    done,
    has_left,
    is_alive,
    remembered,
    statuses,
    was_last_seen,
)
from support.tasks import AtMostOnceTask, RecordingTask, TransactionalTask
from support.transports import a_delivery

from consumer_service.admission import Admission
from consumer_service.claim import CRASH_LIMIT
from consumer_service.dispatch import Dispatcher
from consumer_service.inbox import Inbox
from consumer_service.outcome import Duplicate, Reason, Retry
from consumer_service.quarantine import Quarantine


def an_admission(inbox, *tasks, quarantine=None):
    dispatcher = Dispatcher(tasks or [RecordingTask()])
    return Admission(
        queue="consumer.mail",
        dispatcher=dispatcher,
        inbox=inbox,
        quarantine=quarantine or Quarantine(),
        pause_seconds=0.01,
    )


def deliveries_of(*envelopes, **how):
    return [a_delivery(a_message(envelope), **how) for envelope in envelopes]


async def everybody_is_out(quarantine):
    try:
        async with asyncio.timeout(0.05), quarantine.alone():
            return True
    except TimeoutError:
        return False


async def test_what_may_start_is_started_and_ready_in_the_order_of_its_arrival(engine, inbox):
    envelopes = [an_envelope() for _ in range(20)]

    admitted = await an_admission(inbox).admit(deliveries_of(*envelopes))

    assert [each.envelope for each in admitted.ready] == envelopes
    assert (admitted.suspects, admitted.ended) == ([], [])
    assert set((await statuses(engine)).values()) == {"started"}


async def test_a_transactional_task_is_not_started_yet_and_keeps_its_place(engine, inbox):
    envelopes = [an_envelope() for _ in range(3)]
    deliveries = deliveries_of(*envelopes)
    deliveries[1:2] = deliveries_of(envelopes[1], redelivered=True)

    admitted = await an_admission(inbox, TransactionalTask()).admit(deliveries)

    assert [each.envelope for each in admitted.ready] == envelopes
    assert await statuses(engine) == {envelopes[1].id: "started"}


async def test_what_nobody_can_read_is_ended_and_its_neighbours_are_not(inbox):
    garbage, fine = a_delivery(a_message(body=b"garbage")), a_delivery()

    admitted = await an_admission(inbox).admit([garbage, fine])

    (ended,) = admitted.ended
    assert (ended.delivery, ended.outcome.reason, ended.assignment) == (garbage, "malformed", None)
    assert [each.delivery for each in admitted.ready] == [fine]


async def test_what_is_done_is_a_duplicate_and_its_row_is_left_alone(inbox):
    assignment = an_assignment()
    await inbox.start([assignment])
    await inbox.finish(done(assignment))

    admitted = await an_admission(inbox).admit(deliveries_of(assignment.envelope))

    (ended,) = admitted.ended
    assert (ended.outcome, ended.finish) == (Duplicate(), None)


async def test_a_twin_is_put_off_and_the_row_of_the_other_is_left_alone(inbox):
    envelope = an_envelope()

    admitted = await an_admission(inbox).admit(deliveries_of(envelope, envelope))

    (ended,) = admitted.ended
    assert isinstance(ended.outcome, Retry)
    assert not ended.outcome.spends_attempt
    assert ended.finish is None
    assert len(admitted.ready) == 1


async def test_another_body_under_the_same_id_is_dead_at_once(inbox):
    envelope = an_envelope()
    impostor = an_envelope(a_user_created(name="Eve"), id=envelope.id)
    admission = an_admission(inbox)
    await admission.admit(deliveries_of(envelope))

    admitted = await admission.admit(deliveries_of(impostor))

    (ended,) = admitted.ended
    assert (ended.outcome.reason, ended.finish) == (Reason.ID_CONFLICT, None)


async def test_what_a_dead_worker_held_must_be_admitted_alone(engine, inbox, other):
    assignment = an_assignment()
    await other.start([assignment])
    await has_left(engine, "other")
    admission = an_admission(inbox)

    admitted = await admission.admit(deliveries_of(assignment.envelope))
    (suspect,) = admitted.suspects

    assert admitted.ready == []
    assert await admission.admit_alone(suspect) is suspect
    assert (await remembered(engine)).holder == "this"


async def test_a_suspect_that_killed_enough_is_dead_and_its_row_says_so_in_the_end(engine, inbox):
    assignment = an_assignment()
    for number in range(CRASH_LIMIT):
        await is_alive(engine, f"victim {number}")
        await Inbox(engine, worker=f"victim {number}").start([assignment], alone=True)
        await was_last_seen(engine, f"victim {number}", timedelta(seconds=30))

    admitted = await an_admission(inbox).admit(deliveries_of(assignment.envelope))

    (ended,) = admitted.ended
    assert ended.outcome.reason == Reason.CRASH_LOOP
    await inbox.finish([ended.finish])
    assert (await remembered(engine)).status == "dead"


async def test_a_suspect_may_turn_out_to_be_done_by_the_time_it_is_alone(engine, inbox, other):
    assignment = an_assignment()
    await other.start([assignment])
    await has_left(engine, "other")
    admission = an_admission(inbox)
    (suspect,) = (await admission.admit(deliveries_of(assignment.envelope))).suspects

    await other.finish(done(assignment))

    assert (await admission.admit_alone(suspect)).outcome == Duplicate()


async def test_what_must_not_be_repeated_is_dead_without_being_started(engine, inbox, other):
    assignment = an_assignment(task=AtMostOnceTask())
    await other.start([assignment])
    await has_left(engine, "other")

    admitted = await an_admission(inbox, AtMostOnceTask()).admit(deliveries_of(assignment.envelope))

    (ended,) = admitted.ended
    assert ended.outcome.reason == Reason.AMBIGUOUS
    assert ended.finish.status == "dead"


@pytest.mark.parametrize("count", [0, 3])
async def test_what_is_readable_and_no_suspect_counts_as_running(inbox, count):
    quarantine = Quarantine()

    await an_admission(inbox, quarantine=quarantine).admit(deliveries_of(*(an_envelope() for _ in range(count))))

    assert await everybody_is_out(quarantine) == (count == 0)
    quarantine.leave(count)
    assert await everybody_is_out(quarantine)


async def test_suspects_and_the_unreadable_do_not_count_as_running(engine, inbox, other):
    quarantine, assignment = Quarantine(), an_assignment()
    await other.start([assignment])
    await has_left(engine, "other")

    await an_admission(inbox, quarantine=quarantine).admit(
        [a_delivery(a_message(body=b"garbage")), *deliveries_of(assignment.envelope)]
    )

    assert await everybody_is_out(quarantine)


async def test_asks_again_until_the_database_answers(engine):
    await is_alive(engine, "this")
    forgetful = ForgetfulEngine(engine)

    admitted = await an_admission(an_inbox_on(forgetful)).admit([a_delivery()])

    assert len(admitted.ready) == 1
    assert not forgetful.loses_its_answer
