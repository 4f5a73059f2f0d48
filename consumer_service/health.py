"""What orchestrators and operators ask a worker: does it live, is it consuming, what has it counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from consumer_service.database import DATABASE_ERRORS
from shared.errors import TidingsError

CHECK_SECONDS = 3.0

Check = Callable[[], Awaitable[str]]
"""Returns a short detail, or raises what is wrong."""


def health_app(
    *,
    checks: Mapping[str, Check],
    started: Callable[[], bool],
    registry: CollectorRegistry,
    check_seconds: float = CHECK_SECONDS,
) -> FastAPI:
    """Return the worker's small web app.

    `/livez` asks nothing of anybody: a broker that is away must not get workers restarted. `/readyz` is 200 only
    when every check passes, each within `check_seconds`.
    """
    app = FastAPI(title="Tidings worker", openapi_url=None)

    @app.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/startupz")
    async def startupz() -> JSONResponse:
        return JSONResponse({"status": "ok" if started() else "starting"}, status_code=200 if started() else 503)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        answers = await asyncio.gather(*(_ask(check, check_seconds) for check in checks.values()))
        ready = all(answer["status"] == "ok" for answer in answers)
        body = {"status": "ok" if ready else "failing", "checks": dict(zip(checks, answers, strict=True))}
        return JSONResponse(body, status_code=200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def _ask(check: Check, seconds: float) -> dict[str, object]:
    began = monotonic()
    try:
        async with asyncio.timeout(seconds):
            status, detail = "ok", await check()
    except TidingsError as error:
        status, detail = "failing", str(error)
    except DATABASE_ERRORS as error:
        status, detail = "failing", type(error).__name__
    return {"status": status, "detail": detail, "ms": round((monotonic() - began) * 1000, 1)}
