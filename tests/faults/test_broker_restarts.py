"""The broker dies, leaves in good order, or turns newcomers away, and comes back."""

import pytest
from structlog.testing import capture_logs
from support.faults import KILLED, STOPPED, SUSPENDED, suffering
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]


async def test_a_broker_killed_under_load_keeps_no_client_waiting_and_loses_nothing(pair):
    await pair.accept(6)

    async with suffering(pair, KILLED):
        await pair.accept(6)
        assert (await pair.register()).status_code == 202
    await pair.is_ready()

    await pair.balances()


async def test_a_broker_that_leaves_in_good_order_is_waited_for_without_a_stack_trace(pair):
    with capture_logs() as lines:
        await pair.accept(6)
        async with suffering(pair, STOPPED):
            await pair.accept(6)
            assert (await pair.register()).status_code == 202
        await pair.is_ready()
        await pair.balances()

    assert not [line for line in lines if line["log_level"] == "error" or "exc_info" in line]


async def test_a_broker_that_turns_newcomers_away_is_named_by_the_relay_and_waited_for(pair):
    await pair.accept(6)

    async with suffering(pair, SUSPENDED):
        await pair.accept(6)
        await eventually(pair.relay_waits, within=20)
        assert f"127.0.0.1:{pair.publishing.port}" in await pair.relay_says()
        assert not await pair.worker.is_consuming()

    await pair.balances()
