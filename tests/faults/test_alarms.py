"""The broker runs out of memory or disk, and makes publishers wait."""

import pytest
from support.bookkeeping import LATE, NEVER, PROMPT
from support.faults import DISK_ALARM, IMPATIENT, MEMORY_ALARM, suffering
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

BEYOND_THE_PUBLISH_DEADLINE = 25.0
"""A publish waits 10 s for its confirm; the rest is for a slow machine."""


async def cut_off(pair):
    """Keep the worker from the broker, so that deliveries pile up."""
    pair.consuming.refusing = True
    pair.consuming.reset()
    await eventually(lambda: not pair.consuming.connections, within=10)


async def test_under_a_memory_alarm_the_api_accepts_and_the_worker_consumes_and_acks(pair):
    await cut_off(pair)
    waiting = await pair.accept(6, names=[PROMPT])
    await eventually(pair.all_published, within=20)

    async with suffering(pair, MEMORY_ALARM):
        pair.consuming.heal()
        await eventually(lambda: pair.booked(waiting), within=60)
        await eventually(lambda: not pair.held, within=20)
        (blocked,) = await pair.accept(1)
        await eventually(pair.relay_waits, within=BEYOND_THE_PUBLISH_DEADLINE)
        assert (await pair.register()).status_code == 202
        assert (await pair.rows())[blocked].status == "pending"

    await pair.balances()


@pytest.mark.parametrize("alarm", [MEMORY_ALARM, DISK_ALARM], ids=lambda fault: fault.name)
async def test_what_cannot_be_moved_under_an_alarm_stays_unacked_and_is_moved_after_it(pair, alarm):
    await cut_off(pair)
    await pair.accept(2, names=[LATE])
    await pair.accept(2, names=[NEVER])
    await eventually(pair.all_published, within=20)

    async with suffering(pair, alarm):
        pair.consuming.heal()
        await eventually(lambda: moves_failed(pair) >= 4, within=2 * BEYOND_THE_PUBLISH_DEADLINE)
        assert pair.held >= 4

    await pair.balances()


def moves_failed(pair):
    return pair.sample("tidings_moves_unconfirmed_total", queue="consumer.bookkeeping")


async def test_an_alarm_that_outlasts_the_ack_timeout_costs_sessions_and_no_message(scene, open_here):
    async with suffering(scene, IMPATIENT), open_here() as pair:
        await cut_off(pair)
        await pair.accept(2, names=[LATE])
        await pair.accept(2, names=[NEVER])
        await eventually(pair.all_published, within=20)

        async with suffering(pair, MEMORY_ALARM):
            pair.consuming.heal()
            await pair.is_ready()
            before = sessions(pair)
            await eventually(lambda: sessions(pair) > before, within=60)

        await pair.balances()


def sessions(pair):
    return pair.sample("tidings_sessions_opened_total", queue="consumer.bookkeeping")
