"""What comes again after a crash: suspects run alone, killers are found out, twins do no harm."""

import asyncio

from support.builders import a_message
from support.inboxes import (
    an_assignment,
    has_left,
    is_alive,
    statuses,
)
from support.tasks import (
    HangingTask,
    HangingTransactionalTask,
    RecordingTask,
    TransactionalTask,
    effects,
)
from support.waiting import eventually

from consumer_service.inbox import Inbox
from consumer_service.outcome import TemporaryFailure
from consumer_service.quarantine import Quarantine

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"


class NotifyingTask(RecordingTask):
    queue = "notification"


class HangingNotifyingTask(HangingTask):
    queue = "notification"


def headers(message, *names):
    return [message.headers[f"tidings-{name}"] for name in names]


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
    assert quarantine._running == 0


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
