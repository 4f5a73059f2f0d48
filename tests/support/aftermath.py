"""What is waited for when a worker has died or frozen: that another consumes, and that all it left is done."""

from typing import Any

from support.composition import open_pair
from support.ledger import Ledger
from support.pair import Scene
from support.waiting import eventually

ORPHANED_SECONDS = 100.0
"""What a dead worker held is free after 20 s without a heartbeat; who asks for it comes again every five to thirty."""


async def consumes(service: Any, queues: int = 2) -> Any:
    """Wait until a service that was started has said of so many queues that it consumes them; return the service."""
    await eventually(lambda: service.said.count("consumer.consuming") == queues, within=60)
    return service


async def is_over(scene: Scene, *, within: float = ORPHANED_SECONDS) -> Ledger:
    """Let a sound pair finish what others have left, and see that the ledger balances."""
    async with open_pair(scene) as pair:
        await pair.is_ready()
        return await pair.balances(within=within)
