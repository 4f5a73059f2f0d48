"""How a consumer ends: what runs is finished, what was not started goes back, and the grace period is the limit."""

import asyncio

import pytest
from support.builders import a_message
from support.inboxes import FailingInbox, SlowInbox, statuses
from support.tasks import HangingAtMostOnceTask, HangingTask, HangingTransactionalTask, RecordingTask
from support.waiting import eventually

from shared.errors import BrokerUnavailable

pytestmark = pytest.mark.slow

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"


class StubbornTask(HangingTask):
    """Does not let itself be cancelled."""

    async def run(self, message, context):
        try:
            await super().run(message, context)
        except asyncio.CancelledError:
            await self.let_go.wait()


async def test_what_runs_is_finished_and_acked(engine, transport, consume):
    message, task = a_message(), HangingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "draining")
        task.let_go.set()
        await eventually(lambda: consuming.supervisor.trouble == "stopped")

    assert ("acked", message.message_id) in transport.journal
    assert await statuses(engine) == {message.message_id: "done"}


async def test_what_was_not_started_goes_back_at_once_and_may_be_started_by_anybody(engine, transport, consume):
    messages, task = [a_message() for _ in range(5)], HangingTask()

    async with consume(task, concurrency=1, grace_seconds=30) as consuming:
        await transport.send(*messages)
        await eventually(lambda: task.started)
        consuming.stop.set()
        await eventually(lambda: len(transport.waiting(MAIL)) == 4)
        found = await statuses(engine)
        task.let_go.set()

    assert sorted(found.values()) == ["started", *["waiting"] * 4]
    assert task.runs == {messages[0].message_id: 1}


async def test_what_has_only_arrived_goes_back_without_a_trace(engine, transport, consume):
    task, inbox = RecordingTask(), SlowInbox(engine, worker="this")

    async with consume(task, inbox=inbox) as consuming:
        await transport.send(a_message())
        await eventually(lambda: inbox.asked)
        await transport.send(*(a_message() for _ in range(3)))
        await eventually(lambda: consuming.sample("tidings_deliveries_in_flight") == 4)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "draining")
        inbox.answer.set()

    assert len(transport.waiting(MAIL)) == 4
    assert list((await statuses(engine)).values()) == ["waiting"]


async def test_nothing_more_is_taken(transport, consume):
    task = HangingTask()

    async with consume(task) as consuming:
        await transport.send(a_message())
        await eventually(lambda: task.started)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "draining")
        await transport.send(a_message())
        task.let_go.set()

    assert len(transport.waiting(MAIL)) == 1
    assert task.started == 1


async def test_an_idle_consumer_drains_at_once(transport, consume):
    async with consume(RecordingTask(), grace_seconds=30) as consuming:
        await eventually(lambda: consuming.supervisor.trouble == "")
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "stopped", within=1)

    assert transport.journal == []


@pytest.mark.parametrize("task_class", [HangingTask, HangingTransactionalTask])
async def test_after_the_grace_period_what_runs_is_cut_short_and_given_back(engine, transport, consume, task_class):
    message, task = a_message(), task_class()

    async with consume(task, grace_seconds=0.4) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        consuming.stop.set()

    assert transport.waiting(MAIL) == [message]
    assert ("released", message.message_id) in transport.journal
    assert set((await statuses(engine)).values()) <= {"waiting"}


async def test_an_effect_that_must_not_be_repeated_is_dead_lettered_when_it_is_cut_short(engine, transport, consume):
    message, task = a_message(), HangingAtMostOnceTask()

    async with consume(task, grace_seconds=0.4) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        consuming.stop.set()

    (dead,) = transport.waiting(DEAD)
    assert dead.headers["tidings-reason"] == "ambiguous"
    assert await statuses(engine) == {message.message_id: "dead"}


async def test_a_task_that_cannot_be_cut_short_does_not_keep_the_worker(transport, consume):
    message, task = a_message(), StubbornTask()

    async with consume(task, grace_seconds=0.4) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "stopped", within=2)
        task.let_go.set()

    assert transport.waiting(MAIL) == [message]


async def test_what_runs_is_finished_and_recorded_even_when_the_broker_is_away(engine, transport, consume):
    message, task = a_message(), HangingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        transport.refusals += [BrokerUnavailable("nobody answers")] * 1000
        transport.end_sessions()
        await eventually(lambda: consuming.supervisor.trouble == "nobody answers")
        consuming.stop.set()
        await asyncio.sleep(0.05)
        task.let_go.set()

    assert task.runs == {message.message_id: 1}
    assert await statuses(engine) == {message.message_id: "done"}


async def test_a_session_that_dies_while_draining_does_not_stop_what_runs(engine, transport, consume):
    message, task = a_message(), HangingTask()

    async with consume(task) as consuming:
        await transport.send(message)
        await eventually(lambda: task.started)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "draining")
        transport.end_sessions()
        task.let_go.set()

    assert ("acked in vain", message.message_id) in transport.journal
    assert await statuses(engine) == {message.message_id: "done"}


async def test_a_database_that_is_away_does_not_keep_the_worker_beyond_its_grace_period(engine, transport, consume):
    message, inbox = a_message(), FailingInbox(engine, worker="this", journal=transport.journal)

    async with consume(RecordingTask(), inbox=inbox, grace_seconds=0.4) as consuming:
        await transport.send(message)
        await eventually(lambda: inbox.tries)
        consuming.stop.set()
        await eventually(lambda: consuming.supervisor.trouble == "stopped", within=2)

    assert transport.journal == []
    assert transport.waiting(MAIL) == [message]
