"""Workers are killed, frozen, stopped, replaced and outnumbered; everything accepted is done, and done once."""

import asyncio
import signal
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text
from support.aftermath import ORPHANED_SECONDS, is_over
from support.composition import open_pair, relaying, working
from support.pair import MAIL, PROMPT
from support.smtp import HANG
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

LEAVING_SECONDS = 20.0
"""Four of grace, and what a busy machine takes to end a process."""

DEPLOYMENTS = 25
"""More than the twenty deliveries after which RabbitMQ 4 gives a message up, were it not told otherwise."""


async def has_died(service):
    await eventually(lambda: service.process.poll() is not None, within=60)
    assert service.process.returncode == -signal.SIGKILL, service.said


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ["C1", "C4", "C5", "C8"])
async def test_a_worker_killed_on_its_way_loses_nothing_and_books_nothing_twice(scene, doomed, point):
    async with relaying(scene):
        await scene.accept(6)
        await has_died(doomed("worker", point))
        await scene.books.note_death()

    await is_over(scene)


@pytest.mark.timeout(300)
async def test_workers_killed_one_after_the_other_at_every_point_lose_nothing_and_book_nothing_twice(scene, doomed):
    async with relaying(scene):
        for point in ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"):
            await scene.accept(6)
            await has_died(doomed("worker", point))
            await scene.books.note_death()

    await is_over(scene)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("point", "copies"), [("C2", 1), ("C6", 2)])
async def test_only_a_worker_killed_after_the_mail_was_taken_sends_it_twice(scene, doomed, point, copies):
    async with relaying(scene):
        worker = doomed("worker", point)
        (event,) = await scene.accept(1, names=[PROMPT])
        await has_died(worker)
        await scene.books.note_death()

    async with open_pair(scene) as pair:
        await pair.is_ready()
        await eventually(lambda: len(scene.smtp.mails) == copies, within=ORPHANED_SECONDS)
        ledger = await pair.balances(within=ORPHANED_SECONDS)

    assert len(ledger.accounts[0].effects[event]) == copies


async def test_a_worker_stopped_with_fifty_deliveries_in_hand_leaves_in_time_and_gives_back_what_it_cannot_finish(
    scene, services
):
    scene.smtp.answer("MAIL", HANG, times=10)
    env = {**scene.consumer_env, "TIDINGS_CONCURRENCY": "50", "TIDINGS_DRAIN_SECONDS": "4"}
    worker = await services.start("consumer_service", "worker", "-q", "mail", env=env).is_ready()
    async with relaying(scene):
        await scene.accept(50, names=[PROMPT])
        await eventually(lambda: scene.smtp.commands.count("CONNECT") >= 50, within=60)

        async with asyncio.timeout(LEAVING_SECONDS):
            assert await worker.stop() == 0

    assert "consumer.drain_cut_short" in worker.said
    await is_over(scene)


async def test_a_second_signal_ends_a_worker_that_is_still_draining(scene, services):
    scene.smtp.answer("MAIL", HANG)
    env = {**scene.consumer_env, "TIDINGS_DRAIN_SECONDS": "60"}
    worker = await services.start("consumer_service", "worker", "-q", "mail", env=env).is_ready()
    async with relaying(scene):
        await scene.accept(1, names=[PROMPT])
        await scene.smtp.reached("MAIL")
    worker.process.send_signal(signal.SIGTERM)
    await eventually(lambda: is_draining(worker), within=30)

    assert await asyncio.wait_for(worker.stop(), 30) == -signal.SIGTERM


async def is_draining(worker):
    return worker.process.poll() is None and not await worker.answers("/readyz")


async def test_deployments_without_end_kill_no_innocent_message(scene):
    async with relaying(scene):
        await scene.accept(150, names=[PROMPT])
        for _ in range(DEPLOYMENTS):
            async with working(scene, TIDINGS_CONCURRENCY="1") as worker:
                await eventually(worker.is_consuming, within=40)

    ledger = await is_over(scene)

    assert [account.dead for account in ledger.accounts] == [{}, {}]


async def test_workers_added_and_removed_under_load_share_it_and_lose_nothing(scene):
    async with relaying(scene), working(scene):
        await scene.accept(40)
        async with AsyncExitStack() as more:
            added = [await more.enter_async_context(working(scene)) for _ in range(4)]
            for worker in added:
                await eventually(worker.is_consuming, within=40)
            await scene.accept(120)
            await eventually(lambda: all(acked(worker) for worker in added), within=60)
        await scene.accept(40)

    await is_over(scene)


def acked(worker):
    labels = {"queue": MAIL, "type": "user.created", "outcome": "acked"}
    return worker.registry.get_sample_value("tidings_deliveries_total", labels)


@pytest.mark.timeout(300)
async def test_a_worker_frozen_during_a_mail_answers_nothing_is_succeeded_and_does_no_harm_when_it_goes_on(
    scene, services
):
    scene.smtp.answer("MAIL", HANG, times=1)
    frozen = await services.start("consumer_service", "worker", "-q", "mail", env=scene.consumer_env).is_ready()
    async with relaying(scene):
        await scene.accept(6, names=[PROMPT])
        await eventually(lambda: frozen.said.count('"delivery.acked"') == 5, within=60)
        await eventually(lambda: nobody_is_in_a_transaction(scene), within=30)
        frozen.freeze()
        try:
            assert not await frozen.answers("/livez")
            await is_over(scene)
        finally:
            frozen.thaw()
        await eventually(lambda: frozen.said.count("consumer.consuming") == 2, within=60)
        await scene.accept(3, names=[PROMPT])

        ledger = await is_over(scene)

    assert await frozen.stop() == 0
    assert len(ledger.accounts[0].effects) == 9


async def nobody_is_in_a_transaction(scene):
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
    async with scene.inbox.connect() as connection:
        return await connection.scalar(text(f"{busy} AND pid <> pg_backend_pid()")) == 0


@pytest.fixture
async def impatient(mortal):
    """A broker that takes back, within seconds, what was not acked within three."""
    for name, value in (("consumer_timeout", 3000), ("channel_tick_interval", 1000)):
        await asyncio.to_thread(mortal.ctl, "eval", f"application:set_env(rabbit, {name}, {value}).")
    yield
    for name, value in (("consumer_timeout", 1_800_000), ("channel_tick_interval", 60_000)):
        await asyncio.to_thread(mortal.ctl, "eval", f"application:set_env(rabbit, {name}, {value}).")


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("impatient")
async def test_a_task_slower_than_the_brokers_patience_costs_a_session_and_no_message(pair):
    pair.smtp.answer("MAIL", HANG, times=1)
    sessions = pair.sample("tidings_sessions_opened_total", queue=MAIL)

    await pair.accept(3, names=[PROMPT])

    await eventually(lambda: pair.sample("tidings_sessions_opened_total", queue=MAIL) > sessions, within=60)
    await pair.balances(within=ORPHANED_SECONDS)


async def test_a_worker_whose_log_has_no_room_goes_on(scene, services):
    worker = services.start("consumer_service", "worker", "-q", "mail", env=scene.consumer_env, output="/dev/full")
    async with relaying(scene):
        await scene.accept(3, names=[PROMPT])
        await eventually(lambda: len(scene.smtp.mails) == 3, within=60)
        assert await worker.answers("/livez")

        # Python ends with 120 when what it has to say at the very end cannot be written either.
        assert await worker.stop() in {0, 120}

    await is_over(scene)
