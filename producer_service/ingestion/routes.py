"""HTTP for other services: one event, or a batch of them, recorded in one transaction."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer

from producer_service.ingestion.cancelling import Cancelling
from producer_service.ingestion.description import BATCH, BATCH_ANSWERS, EVENT, ONE_ANSWER, RESPONSES
from producer_service.ingestion.reception import Reception
from producer_service.problems import NOT_FOUND, TOO_LATE, in_openapi


def build_ingestion_routes(reception: Reception, cancelling: Cancelling) -> APIRouter:
    """Return the routes by which other services send events and commands, and take them back, with an API key."""
    # Only described here: it is the door that asks for it, and answers with problems.
    described = HTTPBearer(bearerFormat="tdk_<id>_<secret>", scheme_name="apiKey", auto_error=False)
    router = APIRouter(prefix="/v1", responses=RESPONSES, dependencies=[Depends(described)])

    @router.post("/events", status_code=202, openapi_extra=EVENT, responses=ONE_ANSWER)
    async def send_event(request: Request) -> Response:
        """Record one event or command: a CloudEvent in structured or binary mode, or the short form."""
        return await reception.take_one(request)

    @router.post("/events:batch", status_code=202, openapi_extra=BATCH, responses=BATCH_ANSWERS)
    async def send_batch(
        request: Request,
        *,
        atomic: Annotated[bool, Query(description="All of them or none; otherwise each for itself.")] = False,
    ) -> Response:
        """Record up to 500 events in one transaction. 202: all are accepted; 207: the answer says which are not."""
        return await reception.take_several(request, atomic=atomic)

    @router.delete("/events/{event_id}", status_code=204, responses=in_openapi(NOT_FOUND, TOO_LATE))
    async def cancel_event(request: Request, event_id: str) -> Response:
        """Cancel a message that is not published yet. 409: it is published, or about to be."""
        return await cancelling.cancel(request, event_id)

    return router
