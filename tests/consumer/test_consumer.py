import asyncio

import pytest
from support.builders import a_message, a_user_created, an_envelope
from support.databases import on_postgres
from support.inboxes import (
    FailingInbox,
    ForgetfulEngine,
    SilentInbox,
    an_inbox_on,
    statuses,
)
from support.tasks import (
    QUICK,
    HangingTask,
    RecordingTask,
    TransactionalTask,
    effects,
)
from support.waiting import eventually

from consumer_service.outcome import PermanentFailure, TemporaryFailure
from shared.transport import ATTEMPT, LARGEST_BODY

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"


class HoldingTask(TransactionalTask):
    """Keeps the transaction of its first message open until it is let go."""

    def __init__(self):
        super().__init__()
        self.let_go = asyncio.Event()

    async def run(self, message, context):
        await super().run(message, context)
        if len(self.contexts) == 1:
            await self.let_go.wait()


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


@on_postgres
async def test_what_waits_is_shared_among_those_who_have_nothing_to_do(transport, consume):
    first, task = a_message(), HoldingTask()

    async with consume(task, concurrency=2) as consuming:
        await transport.send(first)
        await eventually(lambda: task.contexts)
        await transport.send(*(a_message() for _ in range(8)))
        await eventually(lambda: len(task.contexts) == 9)
        task.let_go.set()
        await eventually(lambda: consuming.is_idle)

    assert len({context.session for context in task.contexts[1:]}) == 1


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


async def test_an_error_that_no_task_expects_costs_no_worker(transport, consume):
    strays = [asyncio.CancelledError(), OSError("bad \udcff name"), RecursionError()]
    task = RecordingTask(*strays)

    async with consume(task, concurrency=1) as consuming:
        await transport.send(*(a_message() for _ in range(5)))
        await eventually(lambda: len(task.contexts) == 8 and consuming.is_idle)

    assert set(task.runs.values()) <= {1, 2}
