"""What a request must fulfil before its route is entered, as dependencies of routes.

None of them waits for anything, yet all are coroutines: FastAPI calls a plain function in a thread, and handing a
request over to a thread and back costs more than all that is asked here.
"""

from collections.abc import Awaitable, Callable
from email.message import Message
from typing import Annotated

from fastapi import Header

from producer_service.high_water import ROOM_SECONDS, HighWater
from producer_service.problems import NOT_JSON, OUTBOX_FULL, Problem

ContentType = Annotated[str, Header(include_in_schema=False)]


def room_in(high_water: HighWater) -> Callable[[], Awaitable[None]]:
    """Return what refuses a request that would record a message while the outbox is full."""

    async def require_room() -> None:
        if high_water.turn_away():
            raise Problem(OUTBOX_FULL, headers={"Retry-After": str(ROOM_SECONDS)})

    return require_room


async def require_json(content_type: ContentType = "") -> None:
    """Refuse a body that is not declared as JSON, as every form on a foreign page would be."""
    declared = Message()
    declared["content-type"] = content_type
    if declared.get_content_type() != "application/json":
        raise Problem(NOT_JSON)
