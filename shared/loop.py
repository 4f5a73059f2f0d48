"""How late the event loop is. A loop that is late answers no heartbeat, and the broker takes back what it holds."""

import asyncio
import gc
from collections.abc import Callable

EVERY_SECONDS = 0.5


async def watch_lag(observe: Callable[[float], object], *, every: float = EVERY_SECONDS) -> None:
    """Tell `observe` again and again how many seconds later than asked for the loop came back, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        observe(max(0.0, loop.time() - due))


def pass_over_what_is_loaded() -> None:
    """Have the garbage collector look no more at what there is now. Call it once, when a process has all its parts.

    A service's modules, models and routes never become garbage, but a full collection walks through all of them, and
    the loop stands still meanwhile (measured: 50 ms). What is made from now on is collected as ever.
    """
    gc.collect()
    gc.freeze()
