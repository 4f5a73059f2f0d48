"""Sessions die at any moment; what was done is remembered, and what was not is done later."""

from support.builders import a_message
from support.inboxes import (
    SlowInbox,
    statuses,
)
from support.tasks import (
    AtMostOnceTask,
    HangingTask,
    RecordingTask,
)
from support.waiting import eventually

MAIL, DEAD = "consumer.mail", "consumer.mail.dead"


def headers(message, *names):
    return [message.headers[f"tidings-{name}"] for name in names]


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
