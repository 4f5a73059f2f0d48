"""Dead letters: what could not be done, waiting where it failed, and the careful way back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from consumer_service.dispatch import REPLAYS, replays
from shared.errors import MoveNotConfirmed
from shared.topology import RETRY_RETURN
from shared.transport import ATTEMPT, Delivery, Fate, Message, Outgoing, Publisher, Subscription, Transport

NOTHING_MORE_SECONDS = 2.0
"""The broker delivers what it has at once; silence for this long means that there is no more."""

log: Any = structlog.get_logger()


async def replay(
    transport: Transport, queue: str, *, most: int = 100, wanted: Callable[[Message], bool] = lambda _: True
) -> int:
    """Send up to `most` dead letters of a queue back to that very queue, and return how many went.

    No other subscriber sees them again. They keep their message id, so what was done before is not done twice,
    start over at the first attempt, and count as replayed once more, without which a task that must not be repeated
    is not started again. A copy is confirmed before the dead letter is acked: a crash between leaves both. Looks at
    the `most` oldest only; those not wanted stay where they are. Raises MoveNotConfirmed when a copy is not known to
    be safe.
    """
    replayed = 0
    async with (
        transport.publisher() as publisher,
        transport.subscribe(f"{queue}.dead", prefetch=most) as dead,
    ):
        for delivery in await _arrived(dead, most):
            if wanted(delivery.message):
                await _send_home(publisher, queue, delivery)
                await dead.ack([delivery])
                replayed += 1
    log.info("dead_letters.replayed", queue=queue, count=replayed)
    return replayed


async def _arrived(dead: Subscription, most: int) -> Sequence[Delivery]:
    found: list[Delivery] = []
    try:
        while len(found) < most:
            async with asyncio.timeout(NOTHING_MORE_SECONDS):
                found += await dead.take(most - len(found))
    except TimeoutError:
        pass
    return found


async def _send_home(publisher: Publisher, queue: str, delivery: Delivery) -> None:
    kept = {name: value for name, value in delivery.message.headers.items() if not name.startswith("tidings-")}
    message = replace(delivery.message, headers={**kept, ATTEMPT: 1, REPLAYS: replays(delivery.message) + 1})
    (receipt,) = await publisher.publish([Outgoing(RETRY_RETURN.name, queue, message)])
    if receipt.fate is not Fate.CONFIRMED:
        raise MoveNotConfirmed(f"{queue}.dead to {queue}: {receipt.fate}, {receipt.detail}")
