"""What happens to every request before its route, and to every response after it. Plain ASGI, one class per concern."""

import asyncio
import re
from collections.abc import Mapping
from time import perf_counter

import structlog
import uuid_utils.compat
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer_service.metrics import Metrics
from producer_service.problems import AMBIGUOUS, SLOW, TOO_LARGE, Problem, answer
from producer_service.trace_context import TRACEPARENT
from producer_service.unit_of_work import Travel

CORRELATION = "X-Correlation-ID"
CORRELATION_ID = re.compile(r"[!-~]{1,128}")
LONGEST_NUMBER = 18
BODY_SECONDS = 30.0
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Correlated:
    """Gives every request a correlation id: the caller's, if it is fit to be logged, or a new one."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(CORRELATION, "")
        correlation_id = given if CORRELATION_ID.fullmatch(given) else str(uuid_utils.compat.uuid7())
        scope.setdefault("state", {})["correlation_id"] = correlation_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION] = correlation_id
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            await self._app(scope, receive, send_named)


async def travel_of(request: Request) -> Travel:
    """Return what a request hands on to the messages it causes. A coroutine, as every dependency of a route is."""
    traceparent = request.headers.get("traceparent", "")
    return Travel(
        correlation_id=request.state.correlation_id,
        traceparent=traceparent if TRACEPARENT.fullmatch(traceparent) else None,
    )


class Observed:
    """Counts and times every request, by the route's pattern rather than by its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an app."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun = 500, perf_counter()

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._count(scope, status, perf_counter() - begun)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(route=route, method=method, status=str(status)).inc()
        self._metrics.request_seconds.labels(route=route, method=method).observe(seconds)


class Bounded:
    """Refuses a body that is too large, by its declared length or as soon as it is, or that comes too slowly.

    And one whose length is declared in two ways, of which a proxy may believe the other: what follows it would be read
    as a request that nobody has sent (RFC 9112, 6.3).
    """

    def __init__(
        self,
        app: ASGIApp,
        largest: int,
        seconds: float = BODY_SECONDS,
        *,
        largest_for: Mapping[str, int] | None = None,
    ) -> None:
        """`largest` in bytes, and `largest_for` some paths; `seconds` is for the whole body."""
        self._app = app
        self._largest = largest
        self._largest_for = largest_for or {}
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = self._largest_for.get(scope["path"], self._largest)
        if set(Headers(scope=scope).keys()) >= {"content-length", "transfer-encoding"}:
            await answer(AMBIGUOUS, headers={"Connection": "close"})(scope, receive, send)
        elif self._declared(scope) > largest:
            await answer(TOO_LARGE)(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive, largest), send)

    def _declared(self, scope: Scope) -> int:
        declared = Headers(scope=scope).get("content-length", "0")
        return int(declared[:LONGEST_NUMBER]) if declared.isascii() and declared.isdigit() else 0

    def _counting(self, receive: Receive, largest: int) -> Receive:
        loop, received, complete = asyncio.get_running_loop(), 0, False
        deadline = loop.time() + self._seconds

        async def receive_counted() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            message = await _before(deadline, receive)
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > largest:
                raise Problem(TOO_LARGE)
            return message

        return receive_counted


async def _before(deadline: float, receive: Receive) -> Message:
    try:
        async with asyncio.timeout_at(deadline):
            return await receive()
    except TimeoutError:
        raise Problem(SLOW) from None
