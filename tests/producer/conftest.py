"""Nouns of the producer: a migrated database, its outbox, and a relay that can be started and stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from support.builders import a_user_created, an_envelope
from support.clients import asking
from support.hashing import CHEAP
from support.mails import LINK_SECRET
from support.publishers import RecordingPublisher
from support.schemas import Schema

from producer_service.app import producer
from producer_service.backoff import Backoff
from producer_service.claims import CLAIMING, ClaimedRow, Claims
from producer_service.database import open_engine
from producer_service.interventions import Interventions
from producer_service.metrics import Metrics
from producer_service.migrations import VERSION_TABLE, newest
from producer_service.models import Base, OutboxRow
from producer_service.outbox import Outbox, record
from producer_service.relay import Pace, Relay
from producer_service.settings import ApiSettings
from producer_service.verdicts import Verdict
from shared.backends.memory import MemoryTransport

Record = Callable[..., Awaitable[list[str]]]
Rows = Callable[[], Awaitable[list[Any]]]
Change = Callable[..., Awaitable[None]]
MakeRelay = Callable[..., Relay]
Run = Callable[[Relay], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema(VERSION_TABLE, newest(), Base.metadata)


@pytest.fixture
async def engine(database_url: str, schema: Schema) -> AsyncIterator[AsyncEngine]:  # noqa: ARG001 - is laid by it
    """A database as migrations leave it."""
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def outbox(engine: AsyncEngine) -> Outbox:
    return Outbox(engine)


@pytest.fixture
def interventions(engine: AsyncEngine) -> Interventions:
    return Interventions(engine, at_once=2)


@pytest.fixture
async def claims(engine: AsyncEngine, database_url: str) -> AsyncIterator[Claims]:  # noqa: ARG001 - its tables
    """Open connections as the composition root does: for claims only."""
    claiming = open_engine(database_url, session=CLAIMING)
    yield Claims(claiming)
    await claiming.dispose()


@pytest.fixture
def claimed(claims: Claims) -> Callable[..., Awaitable[list[str]]]:
    """Open a claim, mark it by a function of a row, and return the ids it held."""

    async def claimed(
        verdict: Callable[[ClaimedRow], Verdict] | None = None, *, most: int = 500, after: int = 0
    ) -> list[str]:
        async with claims.open(most, after=after) as claim:
            await claim.mark([verdict(row) for row in claim.rows] if verdict else [])
            return [row.id for row in claim.rows]

    return claimed


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def wake() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def recorded(engine: AsyncEngine) -> Record:
    """Commit one event for each user id given, or one for a new user, and return their ids."""

    async def recorded(*user_ids: UUID) -> list[str]:
        envelopes = [an_envelope(a_user_created(user_id=user_id)) for user_id in user_ids or (uuid4(),)]
        async with AsyncSession(engine) as session, session.begin():
            for envelope in envelopes:
                record(session, envelope)
        return [envelope.id for envelope in envelopes]

    return recorded


@pytest.fixture
def rows(engine: AsyncEngine) -> Rows:
    """Read all outbox rows, in the order of recording."""

    async def rows() -> list[Any]:
        async with AsyncSession(engine) as session:
            return list((await session.scalars(select(OutboxRow).order_by(OutboxRow.position))).all())

    return rows


@pytest.fixture
def change(engine: AsyncEngine) -> Change:
    """Write straight into outbox rows, as time or an operator would have."""

    async def change(*ids: str, **values: Any) -> None:
        async with engine.begin() as connection:
            await connection.execute(update(OutboxRow).where(OutboxRow.id.in_(ids)).values(**values))

    return change


@pytest.fixture
def rows_like(rows: Rows) -> Callable[..., Awaitable[list[Any] | None]]:
    """Read all outbox rows, or None while any of them is not as wanted."""

    async def rows_like(**wanted: Any) -> list[Any] | None:
        found = await rows()
        as_wanted = [all(getattr(row, name) == value for name, value in wanted.items()) for row in found]
        return found if all(as_wanted) else None

    return rows_like


@pytest.fixture
def statuses(rows: Rows) -> Callable[[], Awaitable[list[str]]]:
    async def statuses() -> list[str]:
        return [row.status for row in await rows()]

    return statuses


@pytest.fixture
def all_published(statuses: Callable[[], Awaitable[list[str]]]) -> Callable[[], Awaitable[bool]]:
    async def all_published() -> bool:
        return set(await statuses()) == {"published"}

    return all_published


@pytest.fixture
def explained(engine: AsyncEngine) -> Callable[..., Awaitable[str]]:
    """Make a call, and return PostgreSQL's plan for its last statement."""

    async def explained(call: Callable[[], Awaitable[Any]]) -> str:
        asked: list[tuple[str, Any]] = []

        def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            asked.append((statement, parameters))

        event.listen(engine.sync_engine, "before_cursor_execute", remember)
        await call()
        event.remove(engine.sync_engine, "before_cursor_execute", remember)
        statement, parameters = asked[-1]
        async with engine.connect() as connection:
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            return "\n".join(plan.scalars())

    return explained


@pytest.fixture
def make_relay(
    engine: AsyncEngine, claims: Claims, publisher: RecordingPublisher, metrics: Metrics, wake: asyncio.Event
) -> MakeRelay:
    """Make a relay that wastes no time; `pace` changes its pace, anything else one of its parts."""

    def make(pace: Mapping[str, Any] | None = None, **changes: Any) -> Relay:
        parts: dict[str, Any] = {
            "outbox": Outbox(engine),
            "claims": claims,
            "publisher": publisher,
            "metrics": metrics,
            "wake": wake,
            "retention": timedelta(days=7),
            "pace": Pace(**({"trouble": Backoff(first=0.02, most=0.02)} | dict(pace or {}))),
        }
        return Relay(**(parts | changes))

    return make


@pytest.fixture
def running() -> Run:
    @asynccontextmanager
    async def run(relay: Relay) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(relay.run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 5)

    return run


def api_settings(database_url: str) -> ApiSettings:
    """Leave out the catalogue, which would be rendered for every test; `tests/producer/catalogue` has it."""
    return ApiSettings(
        database_url=SecretStr(database_url),
        broker_url=SecretStr("memory://"),
        link_secret=SecretStr(LINK_SECRET),
        relay_in_api=False,
        catalogue=False,
    )


@pytest.fixture
def settings(database_url: str) -> ApiSettings:
    return api_settings(database_url)


@pytest.fixture(scope="module")
async def door(schema: Schema, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """Talk to one API for all tests of a file: for requests that are refused before anything is kept of them."""
    schema.copy(path := tmp_path_factory.mktemp("door") / "tidings.db")
    async with producer(api_settings(f"sqlite:///{path}"), MemoryTransport()) as app, asking(app) as client:
        yield client


@pytest.fixture
async def client(engine: AsyncEngine, settings: ApiSettings) -> AsyncIterator[httpx2.AsyncClient]:  # noqa: ARG001 - its tables
    """Talk to the whole API, without a relay and without a socket. The database is migrated; passwords are cheap."""
    async with producer(settings, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:
        yield client
