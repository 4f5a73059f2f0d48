"""Everything that can go wrong over HTTP, as RFC 9457 problem details. No problem repeats input or shows a stack."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from producer_service.passwords import Overloaded
from producer_service.pointers import pointer_to
from producer_service.trouble import describe

RETRY_AFTER_SECONDS = 5
OUR_MISTAKES = (ProgrammingError, IntegrityError, DataError, NotSupportedError)
OUR_SQLSTATES = {"0A", "22", "23", "42"}
"""PostgreSQL's classes of errors for unsupported features, data, constraints, and syntax or access rules."""

UNDEFINED_TABLE = "42P01"
"""Not ours: the database has not been migrated yet."""

MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. Its `type` is a page of this service, which says what the title means."""

    status: int
    slug: str
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """The problem's type, as a reference relative to the service."""
        return f"/problems/{self.slug}"


MALFORMED = Kind(400, "malformed", "The body is not JSON", "Send one JSON object in UTF-8.")
AMBIGUOUS = Kind(
    400,
    "ambiguous-length",
    "The length of the body is said twice",
    "Send Content-Length or Transfer-Encoding, not both: what stands between us may believe the other one.",
)
NOT_FOUND = Kind(404, "not-found", "There is nothing here", "The path is unknown, or its resource is gone.")
METHOD = Kind(405, "method-not-allowed", "This method is not allowed here", "See the Allow header.")
SLOW = Kind(408, "too-slow", "The body did not arrive in time", "Send the whole body without long pauses.")
TOO_LARGE = Kind(413, "too-large", "The body is too large", "Send less; the limit is a setting of the service.")
NOT_JSON = Kind(415, "not-json", "The body is not declared as JSON", "Send Content-Type: application/json.")
INVALID = Kind(422, "invalid", "The request is not valid", "Each entry of `errors` points at a field of the body.")
INTERNAL = Kind(500, "internal", "The service has failed", "A fault of the service; its log has the details.")
BUSY = Kind(503, "busy", "The service is busy", "Nothing was done. Try again after the seconds in Retry-After.")
NO_DATABASE = Kind(
    503,
    "database-unavailable",
    "The database is unavailable",
    "The request may or may not have been carried out. Trying again after the seconds in Retry-After is safe; for what "
    "records events, where they have ids of their own or the request has an Idempotency-Key.",
)
OUTBOX_FULL = Kind(
    503,
    "outbox-full",
    "Too many messages wait to be published",
    "Nothing was done. The broker is away or slow; try again after the seconds in Retry-After.",
)
NO_API_KEY = Kind(
    401, "no-api-key", "An API key is needed", "Send Authorization: Bearer tdk_..., with a key that lives."
)
OUT_OF_SCOPE = Kind(
    403, "out-of-scope", "The API key may not send this", "Each entry of `errors` says what the key may send."
)
IN_PROGRESS = Kind(
    409,
    "in-progress",
    "The same request is being worked on",
    "Another request has this Idempotency-Key. Try again after the seconds in Retry-After, and get its answer.",
)
ID_TAKEN = Kind(
    409, "id-taken", "The id belongs to another message", "An id is unique among all messages. Take a UUID for each."
)
TOO_LATE = Kind(
    409,
    "too-late",
    "It is too late to cancel this message",
    "It is published, or a relay may be publishing it at this moment; GET /v1/events/{id} tells which.",
)
WRONG_MEDIA = Kind(415, "wrong-media", "The body is of a kind that is not taken here", "`detail` says which are.")
KEY_REUSED = Kind(
    422,
    "idempotency-key-reused",
    "The Idempotency-Key belongs to another request",
    "Nothing was done. Use one key for one request, and the same body whenever it is repeated.",
)
BAD_IDEMPOTENCY_KEY = Kind(
    400, "idempotency-key-malformed", "The Idempotency-Key cannot be read", "Send 1 to 255 printable ASCII characters."
)
RATE_LIMITED = Kind(
    429,
    "rate-limited",
    "The API key has sent too much",
    "Nothing was done. Try again after the seconds in Retry-After.",
)
KINDS = (
    MALFORMED, AMBIGUOUS, NO_API_KEY, OUT_OF_SCOPE, NOT_FOUND, METHOD, SLOW, IN_PROGRESS, ID_TAKEN, TOO_LATE, TOO_LARGE,
    NOT_JSON, WRONG_MEDIA, INVALID, KEY_REUSED, BAD_IDEMPOTENCY_KEY, RATE_LIMITED, INTERNAL, BUSY, NO_DATABASE,
    OUTBOX_FULL,
)  # fmt: skip

MEDIA_TYPE = "application/problem+json"


def in_openapi(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Return what an API description says of answers of these kinds."""
    content = {MEDIA_TYPE: {"schema": {"type": "object"}}}
    titles = {kind.status: [each.title for each in kinds if each.status == kind.status] for kind in kinds}
    return {status: {"description": "; ".join(said), "content": content} for status, said in titles.items()}


IN_OPENAPI = in_openapi(
    MALFORMED, AMBIGUOUS, NOT_FOUND, METHOD, SLOW, TOO_LARGE, NOT_JSON, INVALID, INTERNAL, BUSY, NO_DATABASE,
    OUTBOX_FULL,
)  # fmt: skip
"""What any route may answer."""


class Problem(HTTPException):
    """Raised by whatever meets a problem of a known kind."""

    def __init__(self, kind: Kind, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        """Answer with this kind, these headers, and further members such as `detail` and `errors`."""
        super().__init__(kind.status, kind.title, headers)
        self.kind = kind
        self.members = members


def answer(kind: Kind, *, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """Return the response for a problem, with further members of its own."""
    body = {"type": kind.type, "title": kind.title, "status": kind.status, **members}
    return JSONResponse(body, status_code=kind.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI, *, further: Sequence[Kind] = ()) -> None:
    """Make an app answer every error with a problem, and serve what the types of these and further problems mean."""
    handlers: list[tuple[type[Exception], Any]] = [
        (RequestValidationError, _invalid),
        (HTTPException, _http),
        (Overloaded, _busy),
        (PoolTimeout, _no_database),
        (OSError, _no_database),
        (DBAPIError, _database),
        (Exception, _last_resort),
    ]
    for error, handler in handlers:
        app.add_exception_handler(error, handler)
    app.add_api_route("/problems/{slug}", _explaining((*KINDS, *further)), methods=["GET"], include_in_schema=False)


def _explaining(kinds: Sequence[Kind]) -> Callable[[str], Awaitable[dict[str, Any]]]:
    async def explain(slug: str) -> dict[str, Any]:
        for kind in kinds:
            if kind.slug == slug:
                return {"type": kind.type, "title": kind.title, "status": kind.status, "meaning": kind.meaning}
        raise Problem(NOT_FOUND)

    return explain


async def _http(_request: Request, error: HTTPException) -> Response:
    if isinstance(error, Problem):
        return answer(error.kind, headers=error.headers, **error.members)
    return answer(_by_status(error.status_code), headers=error.headers)


def _by_status(status: int) -> Kind:
    for kind in KINDS:
        if kind.status == status:
            return kind
    return Kind(status, f"http-{status}", "The request was refused", "")


async def _invalid(_request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return answer(MALFORMED)
    return answer(INVALID, errors=[_located(entry["loc"], entry["msg"]) for entry in found[:MOST_ERRORS]])


def _located(location: Sequence[int | str], message: str) -> dict[str, str]:
    return {"pointer": pointer_to(location[1:]), "detail": message}


async def _busy(_request: Request, _error: Exception) -> Response:
    return answer(BUSY, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _no_database(_request: Request, error: Exception) -> Response:
    structlog.get_logger().error("http.database_unavailable", error=describe(error))
    return answer(NO_DATABASE, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _database(request: Request, error: DBAPIError) -> Response:
    """Tell the database's absence (try again) from a statement of ours that it will never accept."""
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    is_ours = sqlstate != UNDEFINED_TABLE and (isinstance(error, OUR_MISTAKES) or sqlstate[:2] in OUR_SQLSTATES)
    return await (_internal if is_ours else _no_database)(request, error)


async def _internal(_request: Request, error: Exception) -> Response:
    structlog.get_logger().error("http.failed", error=describe(error), exc_info=error)
    return answer(INTERNAL)


async def _last_resort(request: Request, _error: Exception) -> Response:
    """Answer for what nobody foresaw; the server logs the stack. The middleware that names the request is gone."""
    correlation_id = getattr(request.state, "correlation_id", None)
    return answer(INTERNAL, headers={"X-Correlation-ID": correlation_id} if correlation_id else None)
