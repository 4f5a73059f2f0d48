"""Connections end in every way that connections can."""

import asyncio

import pytest
from support.bookkeeping import PROMPT
from support.faults import CLOSED, CUT, RESET, suffering
from support.pair import BOOKKEEPING, MAIL
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

MOST_ATTEMPTS_A_SECOND = 12
"""Three clients, each with a pause that begins at half a second and doubles, and dice that may throw low."""


def sessions(pair):
    return sum(pair.sample("tidings_sessions_opened_total", queue=queue) for queue in (MAIL, BOOKKEEPING))


@pytest.mark.parametrize("fault", [RESET, CUT, CLOSED], ids=lambda fault: fault.name)
async def test_connections_that_end_under_load_lose_nothing_and_repeat_nothing(pair, fault):
    await pair.accept(6)

    for _ in range(3):
        before = sessions(pair)
        async with suffering(pair, fault):
            await pair.accept(6)
            # A frame is cut only once there is one to be cut; the other two are over already.
            await eventually(lambda: pair.consuming.cut_after is None, within=30)
        await eventually(lambda: sessions(pair) > before, within=30)  # noqa: B023 - asked in this round only

    await pair.balances()
    assert await pair.worker.is_consuming()


async def test_a_connection_that_ends_takes_no_other_with_it(pair):
    await pair.accept(3, names=[PROMPT])
    await pair.balances()
    user, before = pair.admin.user_of("consumer"), sessions(pair)
    assert len(await pair.admin.connections_of(user)) == 2
    listed = await asyncio.to_thread(pair.rabbit.ctl, "list_connections", "user", "pid")
    (one, _) = [line.split()[1] for line in listed.splitlines() if line.startswith(user)]

    await asyncio.to_thread(pair.rabbit.ctl, "close_connection", one, "by an operator")

    await eventually(lambda: sessions(pair) == before + 1, within=20)
    await pair.is_ready()
    assert len(await pair.admin.connections_of(user)) == 2
    assert sessions(pair) == before + 1


async def test_a_network_that_flaps_is_met_with_patience_and_leaves_no_connection_behind(pair):
    loop, ways = asyncio.get_running_loop(), (pair.publishing, pair.consuming)
    began, before = loop.time(), sum(way.attempts for way in ways)

    for _ in range(4):
        for way in ways:
            way.refusing = True
            way.reset()
        await pair.accept(3)
        await asyncio.sleep(1.5)
        for way in ways:
            way.refusing = False
        await asyncio.sleep(1.5)
    asked = sum(way.attempts for way in ways) - before
    took = loop.time() - began

    await pair.balances()
    assert asked / took < MOST_ATTEMPTS_A_SECOND
    assert pair.publishing.connections == 1
    assert pair.consuming.connections <= 4
