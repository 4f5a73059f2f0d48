import asyncio

import pytest
from support.builders import a_message, a_user_created, an_envelope
from support.inboxes import (
    FailingInbox,
    ForgetfulEngine,
    SilentInbox,
    SlowInbox,
    an_assignment,
    an_inbox_on,
    has_left,
    is_alive,
    statuses,
)
from support.tasks import (
    QUICK,
    AtMostOnceTask,
    HangingTask,
    HangingTransactionalTask,
    RecordingTask,
    TransactionalTask,
    effects,
)
from support.waiting import eventually

from consumer_service.inbox import Inbox
from consumer_service.outcome import PermanentFailure, TemporaryFailure
from consumer_service.quarantine import Quarantine
from shared.transport import ATTEMPT, LARGEST_BODY

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"


class NotifyingTask(RecordingTask):
    queue = "notification"


class HangingNotifyingTask(HangingTask):
    queue = "notification"


def headers(message, *names):
    return [message.headers[f"tidings-{name}"] for name in names]


async def test_a_message_is_worked_on_recorded_and_acked_in_this_order(engine, transport, consume):
    message, task = a_message(), RecordingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: transport.journal and consuming.is_idle)

    assert task.runs == {message.message_id: 1}
    assert transport.journal == [("recorded done", message.message_id), ("acked", message.message_id)]
    assert await statuses(engine) == {message.message_id: "done"}


async def test_a_second_delivery_does_not_repeat_the_effect(engine, transport, consume):
    message, task = a_message(), TransactionalTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: transport.journal and consuming.is_idle)
        transport.again(MAIL, message)
        await eventually(lambda: len(transport.journal) > 1 and consuming.is_idle)

    assert await effects(engine) == {message.message_id: 1}
    assert consuming.sample("tidings_deliveries_total", type="user.created", outcome="duplicate") == 1
    assert [verb for verb, _ in transport.journal] == ["acked", "acked"]


async def test_nothing_is_acked_while_the_database_cannot_record_it(engine, transport, consume):
    message, inbox = a_message(), FailingInbox(engine, worker="this", journal=transport.journal)

    async with consume(RecordingTask(), inbox=inbox) as consuming:
        await transport.send(message)
        await eventually(lambda: inbox.tries > 1)
        assert transport.journal == []
        inbox.is_away = False
        await eventually(lambda: transport.journal and consuming.is_idle)

    assert transport.journal == [("recorded done", message.message_id), ("acked", message.message_id)]


async def test_nothing_is_worked_on_while_the_database_cannot_be_asked(engine, transport, consume):
    inbox, task = SilentInbox(engine, worker="this"), RecordingTask()

    async with consume(task, inbox=inbox) as consuming:
        await transport.send(a_message())
        await eventually(lambda: inbox.asked > 1)
        assert not task.contexts
        inbox.is_away = False
        await eventually(lambda: transport.journal and consuming.is_idle)

    assert len(task.contexts) == 1


async def test_a_start_whose_answer_was_lost_is_asked_for_again(engine, transport, consume):
    task = RecordingTask()

    async with consume(task, inbox=an_inbox_on(ForgetfulEngine(engine))) as consuming:
        await transport.send(a_message())
        await eventually(lambda: transport.journal and consuming.is_idle)

    assert len(task.contexts) == 1


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        ({"body": b"\xff\xfe"}, "malformed"),
        ({"body": b"{}"}, "invalid"),
        ({"body": a_message().body.replace(b"user.created", b"user.sighed!")}, "unknown_type"),
        ({"body": b" " * (LARGEST_BODY + 1)}, "oversized"),
    ],
)
async def test_what_nobody_can_read_is_dead_lettered_with_a_readable_reason_and_the_worker_lives_on(
    transport, consume, garbage, reason
):
    task = RecordingTask()

    async with consume(task) as consuming:
        await transport.send(a_message(**garbage), a_message())
        await eventually(lambda: task.contexts and consuming.is_idle)

    (dead,) = transport.waiting(DEAD)
    assert headers(dead, "reason", "progress") == [reason, "dead on attempt 1"]
    assert str(*headers(dead, "error")).isprintable()
    assert dead.body == garbage["body"]


async def test_a_failed_attempt_comes_back_as_the_next_one_with_notes(transport, consume):
    task = RecordingTask(TemporaryFailure("busy"))

    async with consume(task) as consuming:
        await transport.send(a_message(headers={"trace": "kept"}))
        await eventually(lambda: len(task.contexts) == 2 and consuming.is_idle)

    assert [context.attempt for context in task.contexts] == [1, 2]
    assert [verb for verb, _ in transport.journal] == ["recorded waiting", "retried", "recorded done", "acked"]


async def test_the_last_attempt_becomes_a_dead_letter(engine, transport, consume):
    message, task = a_message(headers={"trace": "kept"}), RecordingTask(*[TemporaryFailure("busy")] * QUICK.limit)

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)

    (dead,) = transport.waiting(DEAD)
    assert task.runs == {message.message_id: QUICK.limit}
    assert headers(dead, "reason", "error") == ["retries_exhausted", "TemporaryFailure: busy"]
    assert (dead.headers[ATTEMPT], dead.headers["trace"]) == (QUICK.limit, "kept")
    assert await statuses(engine) == {message.message_id: "dead"}


async def test_a_permanent_failure_is_a_dead_letter_at_once(transport, consume):
    task = RecordingTask(PermanentFailure("no mailbox"))

    async with consume(task) as consuming:
        await transport.send(a_message())
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)

    assert len(task.contexts) == 1


async def test_a_twin_is_put_off_and_acked_as_a_duplicate_once_the_first_is_done(transport, consume):
    message, task = a_message(), HangingTask()

    async with consume(task) as consuming:
        await transport.send(message, message)
        await eventually(lambda: ("retried", message.message_id) in transport.journal)
        task.let_go.set()
        await eventually(lambda: consuming.is_idle)

    assert task.runs == {message.message_id: 1}
    assert consuming.sample("tidings_deliveries_total", type="user.created", outcome="duplicate") == 1


async def test_the_same_id_with_another_body_is_a_dead_letter_and_the_first_is_done(transport, consume):
    envelope, task = an_envelope(), RecordingTask()
    impostor = a_message(an_envelope(a_user_created(name="Eve"), id=envelope.id))

    async with consume(task) as consuming:
        await transport.send(a_message(envelope))
        await eventually(lambda: task.contexts and consuming.is_idle)
        await transport.send(impostor)
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)

    assert headers(transport.waiting(DEAD)[0], "reason") == ["id_conflict"]
    assert len(task.contexts) == 1


async def test_no_more_run_at_once_than_were_asked_for(transport, consume):
    task = HangingTask()

    async with consume(task, concurrency=3) as consuming:
        await transport.send(*(a_message() for _ in range(10)))
        await eventually(lambda: task.started == 3)
        await asyncio.sleep(0.05)
        task.let_go.set()
        await eventually(lambda: sum(task.runs.values()) == 10 and consuming.is_idle)

    assert task.most_at_once == 3


async def test_no_more_are_held_than_were_asked_for(transport, consume):
    task = HangingTask()

    async with consume(task, concurrency=1, prefetch=4) as consuming:
        await transport.send(*(a_message() for _ in range(10)))
        await eventually(lambda: task.started and len(transport.waiting(MAIL)) == 6)
        held = consuming.sample("tidings_deliveries_in_flight")
        task.let_go.set()
        await eventually(lambda: consuming.is_idle)

    assert held == 4
    assert consuming.sample("tidings_deliveries_in_flight") == 0


async def test_hundreds_are_each_done_once_and_nothing_is_held_in_the_end(engine, transport, consume):
    messages, task = [a_message() for _ in range(200)], TransactionalTask()

    async with consume(task) as consuming:
        await transport.send(*messages)
        await eventually(lambda: len(transport.journal) == 200 and consuming.is_idle, within=20)

    assert await effects(engine) == {message.message_id: 1 for message in messages}


async def test_a_move_that_is_not_confirmed_is_tried_again_and_the_original_is_kept_until_then(transport, consume):
    transport.moves_to_refuse = 2
    task = RecordingTask(TemporaryFailure("busy"))

    async with consume(task) as consuming:
        await transport.send(a_message())
        await eventually(lambda: len(task.contexts) == 2 and consuming.is_idle)

    assert consuming.sample("tidings_moves_unconfirmed_total") == 2


async def test_what_was_done_when_its_session_died_is_recorded_and_its_redelivery_is_a_duplicate(
    engine, transport, consume
):
    message, task = a_message(), HangingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        transport.end_sessions()
        task.let_go.set()
        await eventually(lambda: ("acked", message.message_id) in transport.journal and consuming.is_idle)

    assert task.runs == {message.message_id: 1}
    assert await statuses(engine) == {message.message_id: "done"}
    assert consuming.sample("tidings_settlements_lost_total") >= 1


async def test_what_was_not_started_when_its_session_died_is_dropped_and_done_when_it_comes_again(
    engine, transport, consume
):
    messages, task = [a_message() for _ in range(20)], HangingTask()

    async with consume(task, concurrency=1) as consuming:
        await transport.send(*messages)
        await eventually(lambda: task.started)
        transport.end_sessions()
        task.let_go.set()
        await eventually(lambda: sum(task.runs.values()) == 20 and consuming.is_idle)

    assert task.runs == {message.message_id: 1 for message in messages}
    assert [verb for verb, _ in transport.journal].count("acked in vain") == 1
    assert set((await statuses(engine)).values()) == {"done"}


async def test_what_must_not_be_repeated_is_not_repeated_when_its_session_dies_before_it_is_dead_lettered(
    transport, consume
):
    message, task = a_message(), AtMostOnceTask(KeyError("name"))
    transport.moves_to_refuse = 1

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: not transport.moves_to_refuse)
        transport.end_sessions()
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)

    assert task.runs == {message.message_id: 1}
    assert headers(transport.waiting(DEAD)[0], "reason") == ["ambiguous"]


async def test_a_suspect_runs_alone_and_the_others_after_it(engine, transport, consume):
    suspect, bystander, quarantine = a_message(), a_message(), Quarantine()
    await is_alive(engine, "other")
    await Inbox(engine, worker="other").start([an_assignment(task=HangingTask(), message=suspect)])
    await has_left(engine, "other")
    task = HangingTask()

    async with consume(task, quarantine=quarantine) as consuming:
        transport.again(MAIL, suspect)
        await eventually(lambda: task.started == 1)
        await transport.send(bystander)
        await asyncio.sleep(0.1)
        alone = task.started
        task.let_go.set()
        await eventually(lambda: sum(task.runs.values()) == 2 and consuming.is_idle)

    assert (alone, task.most_at_once) == (1, 1)


async def test_a_suspect_waits_for_the_other_queues_of_its_worker(engine, transport, consume):
    suspect, quarantine, hanging = a_message(), Quarantine(), HangingNotifyingTask()
    await is_alive(engine, "other")
    await Inbox(engine, worker="other").start([an_assignment(message=suspect)])
    await has_left(engine, "other")
    task = RecordingTask()

    async with consume(hanging, quarantine=quarantine), consume(task, quarantine=quarantine) as mail:
        await transport.send(a_message())
        await eventually(lambda: hanging.started and task.contexts and mail.is_idle)
        transport.again(MAIL, suspect)
        await eventually(lambda: not mail.is_idle)
        await asyncio.sleep(0.05)
        assert suspect.message_id not in task.runs
        hanging.let_go.set()
        await eventually(lambda: task.runs[suspect.message_id] == 1 and mail.is_idle)


async def test_a_message_that_killed_three_workers_is_a_dead_letter(engine, transport, consume):
    suspect, task = a_message(), RecordingTask()
    for number in range(3):
        await is_alive(engine, f"victim {number}")
        killed = Inbox(engine, worker=f"victim {number}")
        await killed.start([an_assignment(message=suspect)], alone=True)
        await has_left(engine, f"victim {number}")

    async with consume(task) as consuming:
        transport.again(MAIL, suspect)
        await eventually(lambda: transport.waiting(DEAD) and consuming.is_idle)

    assert headers(transport.waiting(DEAD)[0], "reason") == ["crash_loop"]
    assert not task.contexts


async def test_a_transactional_task_that_fails_after_a_redelivery_is_tried_again(engine, transport, consume):
    message, task = a_message(), TransactionalTask(TemporaryFailure("busy"))

    async with consume(task) as consuming:
        transport.again(MAIL, message)
        await eventually(lambda: len(task.contexts) == 2 and consuming.is_idle)

    assert await effects(engine) == {message.message_id: 1}
    assert await statuses(engine) == {message.message_id: "done"}


async def test_an_error_that_no_task_expects_costs_no_worker(transport, consume):
    strays = [asyncio.CancelledError(), OSError("bad \udcff name"), RecursionError()]
    task = RecordingTask(*strays)

    async with consume(task, concurrency=1) as consuming:
        await transport.send(*(a_message() for _ in range(5)))
        await eventually(lambda: len(task.contexts) == 8 and consuming.is_idle)

    assert set(task.runs.values()) <= {1, 2}


async def test_a_lost_session_in_the_middle_of_an_admission_leaves_nothing_behind(engine, transport, consume):
    messages, task = [a_message() for _ in range(5)], RecordingTask()
    inbox = SlowInbox(engine, worker="this")

    async with consume(task, inbox=inbox) as consuming:
        await transport.send(*messages)
        await eventually(lambda: inbox.asked)
        transport.end_sessions()
        inbox.answer.set()
        await eventually(lambda: sum(task.runs.values()) == 5 and consuming.is_idle)

    assert task.runs == {message.message_id: 1 for message in messages}
    assert set((await statuses(engine)).values()) == {"done"}


async def test_a_twin_of_a_redelivered_transaction_does_not_repeat_its_effect(engine, transport, consume):
    message, task = a_message(), HangingTransactionalTask()

    async with consume(task) as consuming:
        transport.again(MAIL, message)
        await eventually(lambda: task.started)
        await transport.send(message)
        await asyncio.sleep(0.05)
        task.let_go.set()
        await eventually(lambda: transport.journal and consuming.is_idle, within=15)

    assert task.runs == {message.message_id: 1}
    assert await statuses(engine) == {message.message_id: "done"}
