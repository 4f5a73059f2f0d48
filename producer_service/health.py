"""How the service is, for whoever restarts it, routes to it, or watches it. Every check has a deadline of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.database import DATABASE_ERRORS
from producer_service.high_water import HighWater
from producer_service.metrics import CONTENT_TYPE, Metrics, Relaying
from producer_service.migrations import History
from producer_service.outbox import Outbox
from producer_service.trouble import describe

CHECK_SECONDS = 2.0
BACKLOG_SECONDS = 5.0
"""The outbox is counted at most this often, however many scrape."""

COUNT_SECONDS = 5.0
"""For the count. Below the 10 s that Prometheus waits, and above what a few million pending rows take."""

BEHIND = "the database is behind; run `python -m producer_service migrate`"
NO_OUTBOX = "the database has no outbox, or an older one; run the migrations of the service that it belongs to"

Check = Callable[[], Awaitable[str]]
"""Returns a detail worth reading, or raises Unhealthy or a database error."""


class Unhealthy(Exception):
    """The service cannot do its work. The message says why."""


class Checks:
    """The checks of this service, one method each."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        relay: Relaying | None,
        high_water: HighWater,
        stopping: asyncio.Event,
        outbox: Outbox | None = None,
    ) -> None:
        """`relay` is None when the relay runs in a process of its own; `stopping` is set when the service drains.

        With `outbox` the database needs to hold that and nothing else; without, all the tables of the producer.
        """
        self._engine = engine
        self._is_migrated = outbox.is_there if outbox else partial(History().is_reached_by, engine)
        self._behind = NO_OUTBOX if outbox else BEHIND
        self._migrated = False
        self._high_water = high_water
        self._relay = relay
        self._stopping = stopping

    async def loop(self) -> str:
        """The event loop answers, or nobody would read this."""
        return "answers"

    async def draining(self) -> str:
        """Whether new requests are still welcome."""
        if self._stopping.is_set():
            raise Unhealthy("is shutting down")
        return "no"

    async def database(self) -> str:
        """The database answers."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return "answers"

    async def migrations(self) -> str:
        """The database has the tables this code needs. Once it has them it is not asked again."""
        self._migrated = self._migrated or await self._is_migrated()
        if not self._migrated:
            raise Unhealthy(self._behind)
        return "at head"

    async def outbox(self) -> str:
        """Whether there is room. A full outbox is only told: reading goes on, and unready pods would end that too."""
        mark, pending = self._high_water.mark, self._high_water.pending
        if not mark:
            return "has no limit"
        counted = f"more than {mark}" if pending > mark else f"{pending} of {mark}"
        return f"{'refuses' if self._high_water.full else 'accepts'} new work: {counted} pending"

    async def relay(self) -> str:
        """The relay runs. A broker that is away is only told: the outbox holds what is accepted meanwhile."""
        if self._relay is None:
            return "runs elsewhere"
        if not self._relay.running:
            raise Unhealthy("has stopped")
        return f"waits: {self._relay.interrupted_by}" if self._relay.interrupted_by else "running"


def build_health(
    *, checks: Checks, outbox: Outbox, metrics: Metrics, check_seconds: float = CHECK_SECONDS
) -> APIRouter:
    """Return the routes that probes and Prometheus ask."""
    router = APIRouter(include_in_schema=False)
    backlog = _Backlog(outbox, metrics)

    @router.get("/livez")
    async def live() -> Response:
        return await _answer({"loop": checks.loop}, check_seconds)

    @router.get("/startupz")
    async def startup() -> Response:
        return await _answer({"migrations": checks.migrations}, check_seconds)

    @router.get("/readyz")
    async def ready() -> Response:
        wanted = (checks.draining, checks.database, checks.migrations, checks.outbox, checks.relay)
        return await _answer({check.__name__: check for check in wanted}, check_seconds)

    @router.get("/metrics")
    async def scrape() -> Response:
        await backlog.refresh()
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    return router


async def _answer(checks: Mapping[str, Check], seconds: float) -> Response:
    findings = await asyncio.gather(*(_find(check, seconds) for check in checks.values()))
    failing = any(finding["status"] == "failing" for finding in findings)
    body = {"status": "failing" if failing else "ok", "checks": dict(zip(checks, findings, strict=True))}
    return JSONResponse(body, status_code=503 if failing else 200, headers={"Cache-Control": "no-store"})


async def _find(check: Check, seconds: float) -> dict[str, Any]:
    status, begun = "ok", perf_counter()
    try:
        async with asyncio.timeout(seconds):
            detail = await check()
    except Unhealthy as error:
        status, detail = "failing", str(error)
    except TimeoutError:
        status, detail = "failing", f"no answer within {seconds:g} s"
    except DATABASE_ERRORS as error:
        status, detail = "failing", describe(error)
    return {"status": status, "detail": detail, "ms": round((perf_counter() - begun) * 1000, 1)}


class _Backlog:
    """Keeps the outbox gauges fresh, without letting scrapes become a load on the database."""

    def __init__(self, outbox: Outbox, metrics: Metrics) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._counted_at = -BACKLOG_SECONDS

    async def refresh(self) -> None:
        async with self._turn:
            if monotonic() - self._counted_at < BACKLOG_SECONDS:
                return
            try:
                async with asyncio.timeout(COUNT_SECONDS):
                    self._metrics.show_backlog(await self._outbox.backlog())
            except DATABASE_ERRORS:
                self._metrics.show_backlog(None)
            self._counted_at = monotonic()
