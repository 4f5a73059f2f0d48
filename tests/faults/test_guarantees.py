"""A subscriber for each guarantee, and a collector of their dead letters, are killed; all their books balance."""

import signal

import pytest
from support.composition import open_pair, open_scene, relaying
from support.pair import PROMPT
from support.subscribers import ALL
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault, pytest.mark.timeout(300)]

ORPHANED_SECONDS = 100.0
"""What a dead worker held is free after 20 s without a heartbeat; who asks for it comes again every five to thirty."""

MAIL, BOOKKEEPING, NOTIFICATION, ANNOUNCEMENT, INDEXING = range(5)
"""The accounts, in the order of the subscribers."""


@pytest.fixture
async def scene(mortal, postgres):
    async with open_scene(mortal, postgres, subscribers=ALL) as scene:
        yield scene


async def has_died(service):
    await eventually(lambda: service.process.poll() is not None, within=60)
    assert service.process.returncode == -signal.SIGKILL, service.said


async def is_over(scene):
    """Let a sound pair finish what others have left, and see that the ledger balances."""
    async with open_pair(scene) as pair:
        await pair.is_ready()
        return await pair.balances(within=ORPHANED_SECONDS)


async def test_workers_killed_around_calls_and_batches_leave_every_subscribers_books_in_order(scene, doomed):
    async with relaying(scene):
        for point in ("N2", "N6", "A2", "A6", "I3", "I4"):
            await scene.accept(6)
            await has_died(doomed("worker", point))
            await scene.books.note_death()

    ledger = await is_over(scene)

    ambiguous = [reason for reason in ledger.accounts[ANNOUNCEMENT].dead.values() if reason == "ambiguous"]
    assert ambiguous


@pytest.mark.parametrize(("point", "calls"), [("A2", 0), ("A6", 1)])
async def test_a_call_whose_worker_died_with_it_is_not_made_again_and_stands_in_dead_letters(
    scene, doomed, point, calls
):
    async with relaying(scene):
        worker = doomed("worker", point)
        (event,) = await scene.accept(1, names=[PROMPT])
        await has_died(worker)
        await scene.books.note_death()

    ledger = await is_over(scene)

    assert len(ledger.accounts[ANNOUNCEMENT].effects.get(event, [])) == calls
    assert ledger.accounts[ANNOUNCEMENT].dead == {event: "ambiguous"}


async def test_a_collector_killed_around_its_commit_takes_every_dead_letter_into_the_table_once(scene, doomed):
    doomed("worker")
    async with relaying(scene):
        for point in ("C1", "C5"):
            await scene.accept(12)
            await has_died(doomed("collector", point))

    ledger = await is_over(scene)

    dead = [ledger.accounts[number].dead for number in (BOOKKEEPING, ANNOUNCEMENT, INDEXING)]
    assert [set(each.values()) for each in dead] == [{"permanent_failure"}] * 3
    assert [len(each) for each in dead] == [4] * 3
