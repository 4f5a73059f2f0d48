"""What the services were promised to find on the broker is deleted, emptied or full."""

import pytest
from support.bookkeeping import LATE, NEVER, PROMPT
from support.faults import (
    DEAD_LETTERS_FULL,
    NO_DEAD_EXCHANGE,
    NO_EVENT_EXCHANGE,
    NO_RUNG,
    QUEUE_FULL,
    UNBOUND,
    apply_topology,
    suffering,
)
from support.operators import ADA
from support.pair import BOOKKEEPING, MAIL
from support.peeking import depths
from support.waiting import eventually

from producer_service.interventions import Interventions
from producer_service.models import Status
from producer_service.selection import Selection

pytestmark = [pytest.mark.broker, pytest.mark.fault]


async def test_a_worker_whose_queue_was_deleted_says_so_and_consumes_again_once_it_is_back(pair):
    await pair.accept(3)
    await pair.balances()

    await pair.admin.delete_queue(MAIL)

    async def told():
        said = await pair.worker_says(MAIL)
        return "NOT_FOUND" in said and MAIL in said

    await eventually(told, within=20)
    missed = await pair.accept(3, names=[PROMPT])
    await eventually(lambda: pair.booked(missed), within=20)
    assert not pair.mailed(missed)

    await apply_topology(pair)
    await pair.is_ready()
    await pair.accept(3)
    await Interventions(pair.outbox).republish(Selection(status=Status.PUBLISHED), ADA)
    await pair.balances()


async def test_what_was_purged_is_published_again_from_the_outbox_and_what_was_done_is_not_done_again(pair):
    await pair.accept(3)
    await pair.balances()
    pair.consuming.refusing = True
    pair.consuming.reset()
    lost = await pair.accept(3)
    await eventually(pair.all_published, within=20)
    await pair.admin.purge(MAIL)
    await pair.admin.purge(BOOKKEEPING)
    pair.consuming.heal()
    await pair.is_ready()
    assert set((await pair.ledger()).complaints()) == {
        f"{queue}: {event} is lost" for queue in (MAIL, BOOKKEEPING) for event in lost
    }

    await Interventions(pair.outbox).republish(Selection(status=Status.PUBLISHED), ADA)

    await pair.balances()


async def test_what_nobody_is_bound_for_is_parked_and_goes_out_when_it_is_released(pair):
    async with suffering(pair, UNBOUND):
        await pair.accept(3)
        await eventually(lambda: pair.all_rows("parked"), within=20)
        rows = (await pair.rows()).values()
        assert {(row.parked_reason, row.attempts) for row in rows} == {("unroutable", 3)}

    await pair.balances()


async def test_events_wait_in_the_outbox_while_their_exchange_is_gone_and_say_why(pair):
    async with suffering(pair, NO_EVENT_EXCHANGE):
        (event,) = await pair.accept(1)

        async def refused():
            return "no exchange 'domain.events'" in ((await pair.rows())[event].last_error or "")

        await eventually(refused, within=20)
        assert (await pair.rows())[event].status == "pending"

    await pair.balances()


async def test_what_cannot_be_dead_lettered_is_kept_and_moved_when_it_can(pair):
    async with suffering(pair, NO_DEAD_EXCHANGE):
        (event,) = await pair.accept(1, names=[NEVER])
        await eventually(lambda: pair.sample("tidings_moves_unconfirmed_total", queue=BOOKKEEPING), within=20)
        await eventually(lambda: pair.held == 1, within=20)

    ledger = await pair.balances()
    assert ledger.accounts[1].dead == {event: "permanent_failure"}


async def waits_on(pair, rung):
    return (await depths(pair.admin.url, [rung]))[rung]


async def test_a_missing_rung_delays_a_retry_and_loses_nothing(pair):
    async with suffering(pair, NO_RUNG):
        (event,) = await pair.accept(1, names=[LATE])
        await eventually(lambda: waits_on(pair, "retry.5s"), within=20)
        await eventually(lambda: pair.booked([event]), within=40)

    await pair.balances()


async def test_a_full_queue_holds_events_back_in_the_outbox_and_nothing_is_dropped(pair):
    pair.consuming.refusing = True
    pair.consuming.reset()
    async with suffering(pair, QUEUE_FULL):

        async def refused():
            await pair.accept(1)
            rows = (await pair.rows()).values()
            return any("a queue refused it" in (row.last_error or "") for row in rows if row.status == "pending")

        await eventually(refused, within=30)
        pair.consuming.heal()

    await pair.balances(within=90)


async def test_full_dead_letters_keep_the_originals_unacked_until_there_is_room(pair):
    accepted = []
    async with suffering(pair, DEAD_LETTERS_FULL):

        async def refused():
            """A queue that is full takes what comes until it has noticed."""
            accepted.extend(await pair.accept(6, names=[NEVER]))
            return pair.sample("tidings_moves_unconfirmed_total", queue=BOOKKEEPING)

        await eventually(refused, within=30)
        assert pair.held

    ledger = await pair.balances()
    assert len(ledger.accounts[1].dead) == len(accepted)
