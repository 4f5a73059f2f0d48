"""How late the event loop is. A loop that is late answers no heartbeat, and the broker takes back what it holds."""

import asyncio
from collections.abc import Callable

EVERY_SECONDS = 0.5


async def watch_lag(observe: Callable[[float], object], *, every: float = EVERY_SECONDS) -> None:
    """Tell `observe` again and again how many seconds later than asked for the loop came back, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        observe(max(0.0, loop.time() - due))
