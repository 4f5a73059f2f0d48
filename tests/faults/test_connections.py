"""Connections end in every way that connections can."""

import pytest
from support.faults import CLOSED, CUT, RESET, suffering

pytestmark = [pytest.mark.broker, pytest.mark.fault]


@pytest.mark.parametrize("fault", [RESET, CUT, CLOSED], ids=lambda fault: fault.name)
async def test_connections_that_end_under_load_lose_nothing_and_repeat_nothing(pair, fault):
    await pair.accept(6)

    for _ in range(3):
        async with suffering(pair, fault):
            await pair.accept(6)

    await pair.balances()
    assert await pair.worker.is_consuming()
