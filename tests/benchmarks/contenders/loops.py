"""Which event loop a contender runs on."""

import asyncio
from collections.abc import Callable

from benchmarks.contenders.contract import Errand


def runner(errand: Errand) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where the errand asks for it; None means asyncio's own."""
    if errand.options.get("loop") != "uvloop":
        return None
    import uvloop

    return uvloop.new_event_loop
