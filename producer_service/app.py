"""The composition root: settings and a transport become a running producer. Everything opened here is closed here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector
from pwdlib import PasswordHash
from sqlalchemy.ext.asyncio import AsyncEngine

from producer_service.accounts.composition import Limits, build_registering, include_accounts
from producer_service.accounts.composition import Parts as AccountParts
from producer_service.accounts.forgetting import Forgetting
from producer_service.accounts.problems import KINDS as ACCOUNT_KINDS
from producer_service.catalogue.routes import build_catalogue
from producer_service.claims import CLAIMING, Claims
from producer_service.database import open_engine
from producer_service.edge import Bounded, Correlated, Observed
from producer_service.health import Checks, build_health
from producer_service.high_water import HighWater
from producer_service.ingestion.accepting import Ingestion
from producer_service.ingestion.cancelling import Cancelling
from producer_service.ingestion.door import Door
from producer_service.ingestion.idempotency import purge_again_and_again
from producer_service.ingestion.keys import KeyRing
from producer_service.ingestion.rates import Rates
from producer_service.ingestion.reception import Reception
from producer_service.ingestion.routes import build_ingestion_routes
from producer_service.keeping import kept_running
from producer_service.lanes import Bell, LaneRelays
from producer_service.metrics import Metrics
from producer_service.outbox import Outbox
from producer_service.password_policy import PasswordPolicy
from producer_service.passwords import Passwords, argon2id
from producer_service.problems import install
from producer_service.relay import Pace, Relay
from producer_service.routes import build_routes
from producer_service.schedule import declared
from producer_service.schedules.firing import Firing
from producer_service.schedules.scheduler import Scheduler
from producer_service.settings import ApiSettings, Settings
from producer_service.timer import Timer
from producer_service.unit_of_work import Travel, UnitOfWork, units_on
from shared.commands import COMMANDS
from shared.contracts import Lane
from shared.envelope import EnvelopeReader
from shared.events import EVENTS
from shared.loop import watch_lag
from shared.transport import LARGEST_BODY, Publisher, Transport

BESIDE_CANCEL_SECONDS = 5.0

PRODUCT = "tidings"
"""What everybody knows about this service, and nobody's password is made of."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every process of the producer is made of."""

    settings: Settings
    engine: AsyncEngine
    outbox: Outbox
    metrics: Metrics
    high_water: HighWater
    wake: Bell
    stopping: asyncio.Event


@asynccontextmanager
async def producer(
    settings: ApiSettings,
    transport: Transport,
    *,
    stopping: asyncio.Event | None = None,
    hasher: PasswordHash | None = None,
) -> AsyncIterator[FastAPI]:
    """Open the API, with a relay if the settings say so; the caller serves it, and leaves once it no longer does.

    Needs neither broker nor database to open. `stopping` makes it unready; leaving stops the relay after its batch.
    `hasher` takes the place of Argon2id at full cost, for measuring what everything else costs.
    """
    async with _open(settings, stopping or asyncio.Event()) as parts, AsyncExitStack() as stack:
        relay = await stack.enter_async_context(_relaying(parts, transport)) if settings.relay_in_api else None
        keys = KeyRing(parts.engine)
        async with _running(keys.keep_notes(), _keep_answers(parts), Forgetting(parts.engine).keep_forgetting()):
            yield _api(parts, relay, _account_parts(parts, settings, hasher or argon2id()), keys)


def _keep_answers(parts: _Parts) -> Coroutine[Any, Any, None]:
    return purge_again_and_again(parts.engine, timedelta(hours=parts.settings.idempotency_hours))


@asynccontextmanager
async def relay_alone(
    settings: Settings, transport: Transport, *, stopping: asyncio.Event | None = None
) -> AsyncIterator[FastAPI]:
    """Open a relay without the API; the app has its health and metrics only."""
    async with _open(settings, stopping or asyncio.Event()) as parts, _relaying(parts, transport) as relay:
        # Only the outbox: the database may be that of another service, and hold nothing else of ours.
        app = _app(parts)
        _include_health(app, parts, relay, needs=parts.outbox)
        yield app


@asynccontextmanager
async def _open(settings: Settings, stopping: asyncio.Event) -> AsyncIterator[_Parts]:
    engine = open_engine(settings.database_url.get_secret_value())
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    outbox, metrics = Outbox(engine), Metrics(registry)
    high_water = HighWater(settings.outbox_high_water, refused=metrics.refused.inc)
    metrics.follow_high_water(high_water)
    beside = (watch_lag(metrics.loop_lag.observe), high_water.watch(outbox.pending_up_to))
    try:
        async with _running(*beside):
            yield _Parts(settings, engine, outbox, metrics, high_water, Bell(), stopping)
    finally:
        await engine.dispose()


@asynccontextmanager
async def _running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something run beside the service while this context lasts. Logs what ends by itself with an error."""
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(_log_crash)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=BESIDE_CANCEL_SECONDS)


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        structlog.get_logger().error("watch.crashed", exc_info=task.exception())


@asynccontextmanager
async def _claiming(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open connections of the relay's own: theirs are settings that would suit nobody else."""
    engine = open_engine(settings.database_url.get_secret_value(), name="tidings relay", session=CLAIMING)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _relaying(parts: _Parts, transport: Transport) -> AsyncIterator[LaneRelays]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(_claiming(parts.settings))
        publishers = {lane: await stack.enter_async_context(transport.publisher()) for lane in Lane}
        relays = LaneRelays({lane: _relay(parts, engine, lane, publishers[lane]) for lane in Lane})
        parts.metrics.follow_relay(relays)
        beside = _scheduler(parts) if parts.settings.scheduler else {}
        async with kept_running(relay=relays, timer=Timer(parts.engine, wake=parts.wake.ring), **beside):
            yield relays


def _relay(parts: _Parts, engine: AsyncEngine, lane: Lane, publisher: Publisher) -> Relay:
    return Relay(
        outbox=parts.outbox,
        claims=Claims(engine, lane),
        publisher=publisher,
        metrics=parts.metrics,
        wake=parts.wake.of(lane),
        retention=timedelta(days=parts.settings.outbox_retention_days),
        pace=Pace(batch_size=parts.settings.relay_batch_size),
    )


def _scheduler(parts: _Parts) -> dict[str, Scheduler]:
    schedules = declared(operator_mail=parts.settings.operator_mail, time_zone=parts.settings.operator_time_zone)
    firing = Firing(unit_of_work=_units(parts))
    return {"scheduler": Scheduler(schedules=schedules, firing=firing, metrics=parts.metrics)} if schedules else {}


def _units(parts: _Parts) -> Callable[[Travel], UnitOfWork]:
    settings = parts.settings
    longest = timedelta(days=settings.longest_delay_days)
    return units_on(parts.engine, source=settings.event_source, committed=parts.wake.ring, longest_delay=longest)


def _account_parts(parts: _Parts, settings: ApiSettings, hasher: PasswordHash) -> AccountParts:
    return AccountParts(
        unit_of_work=_units(parts),
        passwords=Passwords(hasher=hasher, at_once=settings.password_hashes_at_once),
        policy=PasswordPolicy(known_words=(PRODUCT,)),
        secret=settings.link_secret.get_secret_value(),
        limits=Limits(
            mails_per_hour=settings.mails_per_address_and_hour,
            sign_ins_per_hour=settings.sign_ins_per_address_and_hour,
            session_lifetime=timedelta(hours=settings.session_hours),
        ),
    )


def _api(parts: _Parts, relay: LaneRelays | None, account_parts: AccountParts, keys: KeyRing) -> FastAPI:
    app, accounts = _app(parts), build_registering(account_parts)
    # A request is compared with one route after the other, so what is asked most comes first.
    app.include_router(_ingestion(parts, keys, Ingestion(account_parts.unit_of_work)))
    app.include_router(build_routes(accounts=accounts, outbox=parts.outbox, high_water=parts.high_water))
    include_accounts(app, account_parts, high_water=parts.high_water)
    if parts.settings.catalogue:
        app.include_router(build_catalogue())
    _include_health(app, parts, relay)
    return app


def _ingestion(parts: _Parts, keys: KeyRing, ingestion: Ingestion) -> APIRouter:
    door = Door(keys=keys, rates=Rates(), high_water=parts.high_water)
    reader = EnvelopeReader([*EVENTS, *COMMANDS])
    longest = timedelta(days=parts.settings.longest_delay_days)
    reception = Reception(door=door, ingestion=ingestion, reader=reader, metrics=parts.metrics, longest_delay=longest)
    return build_ingestion_routes(reception, Cancelling(door=door, engine=parts.engine))


def _app(parts: _Parts) -> FastAPI:
    """Return an app with what every app of ours has beside its health: problems, metrics, limits and correlation."""
    docs = "/docs" if parts.settings.api_docs else None
    # A redirect would lead to wherever the Host header of the request says.
    app = FastAPI(title="Tidings producer", version="1", docs_url=docs, redoc_url=None, redirect_slashes=False)
    install(app, further=ACCOUNT_KINDS)
    # The last one added is the first to see a request.
    largest_for = {"/v1/events": LARGEST_BODY, "/v1/events:batch": parts.settings.ingest_max_body_bytes}
    app.add_middleware(Bounded, largest=parts.settings.max_body_bytes, largest_for=largest_for)
    app.add_middleware(Observed, metrics=parts.metrics)
    app.add_middleware(Correlated)
    return app


def _include_health(app: FastAPI, parts: _Parts, relay: LaneRelays | None, needs: Outbox | None = None) -> None:
    checks = Checks(
        engine=parts.engine, relay=relay, stopping=parts.stopping, high_water=parts.high_water, outbox=needs
    )
    app.include_router(build_health(checks=checks, outbox=parts.outbox, metrics=parts.metrics))
