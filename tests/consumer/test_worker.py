import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select, text
from support.builders import a_message, a_queue, a_topology
from support.databases import on_sqlite
from support.inboxes import statuses
from support.tasks import AtMostOnceTask, HangingTask, RecordingTask
from support.transports import WatchedTransport
from support.waiting import eventually

from consumer_service.migrations import VERSION_TABLE
from consumer_service.models import WorkerRow
from consumer_service.settings import Settings
from consumer_service.worker import Worker, open_tasks
from shared.errors import BrokerUnavailable, TopologyError

MAIL = "consumer.mail"


class NotifyingTask(RecordingTask):
    queue = "notification"


class PatientTask(RecordingTask):
    timeout = timedelta(hours=1)


class BuggyTransport(WatchedTransport):
    """Raises what no transport may raise."""

    def subscribe(self, queue, *, prefetch):
        raise ZeroDivisionError(queue, prefetch)


def some_settings(**changes):
    return Settings(**({"broker_url": "memory://", "database_url": "sqlite:////nowhere", "drain_seconds": 5} | changes))


def a_worker(engine, transport, *tasks, **settings):
    return Worker(settings=some_settings(**settings), transport=transport, engine=engine, tasks=tasks)


@asynccontextmanager
async def working(engine, transport, *tasks, **settings):
    worker, stop = (
        Worker(settings=some_settings(**settings), transport=transport, engine=engine, tasks=tasks),
        asyncio.Event(),
    )
    running = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await running


async def ask(worker, path):
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=worker.health()), base_url="http://worker"
    ) as client:
        return await client.get(path)


async def is_ready(worker):
    return (await ask(worker, "/readyz")).status_code == 200


async def present_workers(engine):
    async with engine.connect() as connection:
        return list(await connection.scalars(select(WorkerRow.id)))


async def test_serves_every_queue_of_its_tasks_and_leaves_no_trace_of_itself(engine, transport):
    mail, notification, message = RecordingTask(), NotifyingTask(), a_message()

    async with working(engine, transport, mail, notification) as worker:
        await transport.send(message)
        await eventually(lambda: mail.contexts and notification.contexts)
        assert await present_workers(engine) == [worker.name]

    assert await present_workers(engine) == []
    assert await statuses(engine) == {message.message_id: "done"}


async def test_is_ready_while_the_broker_sees_it_and_not_before_or_after(engine, transport):
    worker = a_worker(engine, transport, RecordingTask())
    assert (await ask(worker, "/startupz")).status_code == 503
    assert not await is_ready(worker)

    async with working(engine, transport, RecordingTask()) as worker:
        await eventually(lambda: is_ready(worker))
        assert (await ask(worker, "/startupz")).status_code == 200
        assert await worker.is_consuming()

    assert not await is_ready(worker)


async def test_says_which_queue_it_does_not_consume_and_serves_the_others(engine):
    transport, task = WatchedTransport(), RecordingTask()
    await transport.apply(a_topology(a_queue(MAIL)))

    async with working(engine, transport, task, NotifyingTask()) as worker:
        await transport.send(a_message())
        await eventually(lambda: task.contexts)
        checks = (await ask(worker, "/readyz")).json()["checks"]

    assert (checks[MAIL]["status"], checks["consumer.notification"]["status"]) == ("ok", "failing")
    assert "does not exist" in checks["consumer.notification"]["detail"]


@on_sqlite
async def test_a_database_that_is_behind_makes_it_unready_and_one_that_was_seen_at_head_is_not_asked_again(
    engine, transport
):
    async with working(engine, transport, RecordingTask()) as worker:
        await eventually(lambda: is_ready(worker))
        await go_back(engine)
        seen = (await ask(worker, "/readyz")).json()["checks"]["migrations"]
    fresh = (await ask(a_worker(engine, transport, RecordingTask()), "/readyz")).json()["checks"]["migrations"]

    assert (seen["status"], fresh["status"]) == ("ok", "failing")
    assert "python -m consumer_service migrate" in fresh["detail"]


async def go_back(engine):
    """Say that the database has no revision; its tables stay, for the worker that uses them."""
    async with engine.begin() as connection:
        await connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))  # noqa: S608 - ours


@pytest.mark.slow
@on_sqlite
async def test_declares_what_it_needs_when_it_is_told_to_and_waits_for_the_broker(engine):
    transport, task = LateTransport(), RecordingTask()

    async with working(engine, transport, task, apply_topology=True) as worker:
        await eventually(lambda: is_ready(worker))
        await transport.send(a_message())
        await eventually(lambda: task.contexts)

    assert transport.attempts == 2


async def test_a_broker_that_holds_something_else_ends_it_with_the_difference(engine):
    worker = a_worker(engine, StrangeTransport(), RecordingTask(), apply_topology=True)

    with pytest.raises(TopologyError, match="other arguments"):
        await worker.run(asyncio.Event())


async def test_can_be_stopped_while_broker_and_database_are_away(no_database):
    transport = WatchedTransport()
    transport.refusals = [BrokerUnavailable("nobody answers")] * 1000

    async with asyncio.timeout(3), working(no_database, transport, RecordingTask()) as worker:
        await asyncio.sleep(0.1)
        assert (await ask(worker, "/readyz")).status_code == 503
        assert (await ask(worker, "/livez")).status_code == 200


@pytest.mark.slow
async def test_consumes_nothing_before_its_heartbeat_is_seen(no_database, transport):
    await transport.send(a_message())

    async with working(no_database, transport, RecordingTask()):
        await asyncio.sleep(0.2)

    assert (transport.sessions, len(transport.waiting(MAIL))) == ([], 1)


async def test_a_bug_ends_it_instead_of_being_hidden(engine):
    worker = a_worker(engine, BuggyTransport(), RecordingTask())

    with pytest.raises(ExceptionGroup) as ended:
        await worker.run(asyncio.Event())

    assert ended.group_contains(ZeroDivisionError)


async def test_what_it_held_when_it_was_killed_is_done_by_another(engine, transport):
    message, hanging, task = a_message(), HangingTask(), RescuingTask()
    running = asyncio.create_task(a_worker(engine, transport, hanging).run(asyncio.Event()))
    await transport.send(message)
    await eventually(lambda: hanging.started)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    async with working(engine, transport, task):
        await eventually(lambda: task.runs == {message.message_id: 1})
        await eventually(lambda: not transport.waiting(MAIL))


@pytest.mark.parametrize(
    ("tasks", "settings", "said"),
    [
        ([RecordingTask(), AtMostOnceTask()], {}, "both take user.created"),
        ([PatientTask()], {}, "TIDINGS_PREFETCH"),
    ],
)
def test_contradictions_are_refused_before_anything_is_opened(engine, transport, tasks, settings, said):
    with pytest.raises(ValueError, match=said):
        a_worker(engine, transport, *tasks, **settings)


@pytest.mark.parametrize(
    "wrong", [{"mail_url": "http://127.0.0.1"}, {"mail_from": "nobody"}, {"link_base_url": "ftp://example.org"}]
)
async def test_a_setting_of_a_family_that_is_wrong_is_refused_when_its_tasks_are_built(wrong):
    settings = some_settings(
        **{
            "mail_url": "smtp://127.0.0.1:25?tls=off",
            "mail_from": "Tidings <no-reply@example.org>",
            "link_secret": "a secret of more than thirty-two characters",
            "link_base_url": "https://app.example.org",
        }
        | wrong
    )

    with pytest.raises(ValueError, match=r"."):
        async with open_tasks(settings, ["mail"]):
            pass


class RescuingTask(RecordingTask):
    """Goes by the name of the task that hung, and so finds what that one left."""

    name = "HangingTask"


class LateTransport(WatchedTransport):
    """A broker that is away when it is first asked."""

    attempts = 0

    async def apply(self, topology):
        self.attempts += 1
        if self.attempts == 1:
            raise BrokerUnavailable("nobody answers")
        await super().apply(topology)


class StrangeTransport(WatchedTransport):
    """A broker that holds a queue of that name already, made otherwise."""

    async def apply(self, topology):
        raise TopologyError(f"{topology.queues[0].name} exists with other arguments")
