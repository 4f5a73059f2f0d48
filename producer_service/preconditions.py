"""What a request must fulfil before its route is entered, as dependencies of routes.

None of them waits for anything, yet all are coroutines: FastAPI calls a plain function in a thread, and handing a
request over to a thread and back costs more than all that is asked here.
"""

from collections.abc import Awaitable, Callable
from email.message import Message

from starlette.requests import Request

from producer_service.high_water import ROOM_SECONDS, HighWater
from producer_service.problems import NOT_JSON, OUTBOX_FULL, Problem

JSON = "application/json"


def room_in(high_water: HighWater) -> Callable[[], Awaitable[None]]:
    """Return what refuses a request that would record a message while the outbox is full."""

    async def require_room() -> None:
        if high_water.turn_away():
            raise Problem(OUTBOX_FULL, headers={"Retry-After": str(ROOM_SECONDS)})

    return require_room


async def require_json(request: Request) -> None:
    """Refuse a body that is not declared as JSON, as every form on a foreign page would be."""
    content_type = request.headers.get("content-type", "")
    if content_type != JSON and _kind_of(content_type) != JSON:
        raise Problem(NOT_JSON)


def _kind_of(content_type: str) -> str:
    declared = Message()
    declared["content-type"] = content_type
    return declared.get_content_type()
