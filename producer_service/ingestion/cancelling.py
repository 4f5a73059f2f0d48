"""A service takes back what it, or another that speaks for the same source, has sent, while nobody has published it."""

from fastapi import Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.ingestion.door import Door
from producer_service.ingestion.scopes import Scope
from producer_service.interventions import Cancellation, Interventions, Operator
from producer_service.models import OutboxRow
from producer_service.problems import NOT_FOUND, TOO_LATE, Problem


class Cancelling:
    """Cancels messages for whoever might have sent them. Raises the Problem to be answered with instead."""

    def __init__(self, *, door: Door, engine: AsyncEngine) -> None:
        """Let in whom the door lets in; use this engine's pool."""
        self._door = door
        self._engine = engine
        self._interventions = Interventions(engine)

    async def cancel(self, request: Request, event_id: str) -> Response:
        """Cancel one message, on record as done by the key's client; harmless to repeat.

        A message of a type or source that the key may not send is not there, as far as its holder can tell.
        """
        key = (await self._door.admit(request, records=False)).key
        if not (event_id.isascii() and event_id.isprintable() and await self._is_open_to(key.scope, event_id)):
            raise Problem(NOT_FOUND)
        operator = Operator(f"api key of {key.client}", f"{request.method} {request.url.path}")
        match await self._interventions.cancel(event_id, operator):
            case Cancellation.CANCELLED:
                return Response(status_code=204)
            case Cancellation.UNKNOWN:
                raise Problem(NOT_FOUND)
            case Cancellation.PUBLISHED | Cancellation.ON_ITS_WAY:
                raise Problem(TOO_LATE)

    async def _is_open_to(self, scope: Scope, event_id: str) -> bool:
        """Tell whether there is such a message, and the key may send its like."""
        sent = select(OutboxRow.type, OutboxRow.source).where(OutboxRow.id == event_id)
        async with self._engine.connect() as connection:
            found = (await connection.execute(sent)).one_or_none()
        return found is not None and scope.allows_type(found.type) and scope.allows_source(found.source)
