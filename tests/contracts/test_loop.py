import asyncio
import gc
import time

import pytest
from support.waiting import eventually

from shared.loop import pass_over_what_is_loaded, watch_lag


@pytest.mark.slow
async def test_a_loop_that_was_held_up_is_seen_to_be_late():
    lags = []
    watching = asyncio.create_task(watch_lag(lags.append, every=0.01))

    await eventually(lambda: lags)
    time.sleep(0.2)  # noqa: ASYNC251 - holding the loop up is what this is about
    await eventually(lambda: max(lags) >= 0.1)
    watching.cancel()

    assert min(lags) >= 0


def test_what_was_loaded_is_looked_at_by_no_collection_any_more_and_what_comes_later_is():
    before = len(gc.get_objects())
    try:
        pass_over_what_is_loaded()
        later = [before]

        assert len(gc.get_objects()) < before / 10
        assert any(each is later for each in gc.get_objects())
    finally:
        gc.unfreeze()
