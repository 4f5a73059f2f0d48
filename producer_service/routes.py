"""HTTP in, HTTP out: a request becomes one call of a use case, and its result one response."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from producer_service.edge import travel_of
from producer_service.high_water import HighWater
from producer_service.outbox import Outbox
from producer_service.preconditions import require_json, room_in
from producer_service.problems import IN_OPENAPI, NOT_FOUND, Problem
from producer_service.schemas import FOLLOWED, Accepted, EventStatus, Registration
from producer_service.service import Accounts, Registrant
from producer_service.unit_of_work import Travel


def build_routes(*, accounts: Accounts, outbox: Outbox, high_water: HighWater) -> APIRouter:
    """Return the routes of the API, version 1. What records a message is refused while the outbox is full."""
    router = APIRouter(prefix="/v1", responses=dict(IN_OPENAPI))

    recording = [Depends(room_in(high_water)), Depends(require_json)]

    @router.post("/users", status_code=202, dependencies=recording, responses=FOLLOWED)
    async def register(
        registration: Registration, travel: Annotated[Travel, Depends(travel_of)], response: Response
    ) -> Accepted:
        """Register. The answer is the same whether the address was known; its owner learns the rest by mail."""
        event_id = await accounts.register(_registrant(registration), travel)
        response.headers["Location"] = f"/v1/events/{event_id}"
        return Accepted(event_id=event_id)

    @router.get("/events/{event_id}", operation_id="event")
    async def event(event_id: str) -> EventStatus:
        """Tell how far a message has come on its way to the broker."""
        standing = await outbox.stands(event_id) if event_id.isascii() and event_id.isprintable() else None
        if standing is None:
            raise Problem(NOT_FOUND)
        return EventStatus.of(standing)

    return router


def _registrant(registration: Registration) -> Registrant:
    return Registrant(
        email=registration.email,
        password=registration.password.get_secret_value(),
        name=registration.name,
        locale=registration.locale,
    )
