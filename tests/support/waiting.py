"""Waiting for what must become true, instead of sleeping and hoping."""

import asyncio
import inspect
from typing import Any

PAUSE_SECONDS = 0.01


async def eventually(probe: Any, *, within: float = 5.0) -> Any:
    """Call a sync or async probe again and again until it returns something true; return that.

    A probe may also raise AssertionError to say "not yet". Fails after `within` seconds, with the probe's last word.
    """
    loop = asyncio.get_running_loop()
    deadline, last_word = loop.time() + within, "it was never true"
    while loop.time() < deadline:
        try:
            answer = probe()
            if answer := await answer if inspect.isawaitable(answer) else answer:
                return answer
        except AssertionError as error:
            last_word = str(error) or "an assertion failed"
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError(f"not within {within:g} s: {last_word}")
