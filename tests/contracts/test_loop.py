import asyncio
import time

from support.waiting import eventually

from shared.loop import watch_lag


async def test_a_loop_that_was_held_up_is_seen_to_be_late():
    lags = []
    watching = asyncio.create_task(watch_lag(lags.append, every=0.01))

    await eventually(lambda: lags)
    time.sleep(0.2)  # noqa: ASYNC251 - holding the loop up is what this is about
    await eventually(lambda: max(lags) >= 0.1)
    watching.cancel()

    assert min(lags) >= 0
