import asyncio

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import an_envelope
from support.clients import asking
from support.databases import on_sqlite
from support.waiting import eventually

from producer_service.database import open_engine
from producer_service.health import Checks, Unhealthy, build_health
from producer_service.high_water import HighWater
from producer_service.metrics import Metrics
from producer_service.migrations import VERSION_TABLE, unmigrate
from producer_service.outbox import Outbox, record

NO_LIMIT = HighWater(0, refused=list)


@pytest.fixture
def stopping():
    return asyncio.Event()


class HangingChecks(Checks):
    """The migrations are never told."""

    async def migrations(self):
        return await asyncio.Event().wait()


class CountingOutbox(Outbox):
    """Counts how often it was counted."""

    counted = 0

    async def backlog(self):
        self.counted += 1
        await asyncio.sleep(0)
        return await super().backlog()


@pytest.fixture
def ask(engine, stopping):
    """Ask a probe of a service with this relay, and this database instead of its own."""

    async def ask(path, *, relay=None, database=engine, checks=Checks, high_water=NO_LIMIT):
        checks = checks(engine=database, relay=relay, high_water=high_water, stopping=stopping)
        async with asking(an_app(checks, Outbox(database))) as client:
            return await client.get(path)

    return ask


def an_app(checks, outbox):
    app = FastAPI()
    metrics = Metrics(CollectorRegistry())
    app.include_router(build_health(checks=checks, outbox=outbox, metrics=metrics, check_seconds=0.5))
    return app


@pytest.fixture
async def no_database():
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    yield engine
    await engine.dispose()


async def test_a_service_that_can_work_is_ready(ask):
    response = await ask("/readyz")

    checks = response.json()["checks"]
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(
        ("draining", "database", "migrations", "outbox", "relay"), "ok"
    )
    assert all(check["ms"] >= 0 and check["detail"] for check in checks.values())


async def test_a_database_that_is_behind_makes_it_unready_and_not_started(ask, engine):
    await unmigrate(engine)

    started, ready = await ask("/startupz"), await ask("/readyz")

    assert (started.status_code, ready.status_code) == (503, 503)
    assert "migrate" in ready.json()["checks"]["migrations"]["detail"]


@on_sqlite
async def test_a_database_that_was_seen_migrated_is_not_asked_again(engine, stopping):
    checks = Checks(engine=engine, relay=None, high_water=NO_LIMIT, stopping=stopping)
    async with asking(an_app(checks, Outbox(engine))) as client:
        before = await client.get("/readyz")
        await unmigrate(engine)
        after = await client.get("/readyz")

    assert (before.status_code, after.status_code) == (200, 200)


@on_sqlite
async def test_a_relay_of_its_own_needs_the_outbox_and_no_other_table_of_ours(engine, stopping):
    outbox = Outbox(engine)
    needy, content = [
        Checks(engine=engine, relay=None, high_water=NO_LIMIT, stopping=stopping, outbox=outbox) for _ in range(2)
    ]
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE users"))
        await connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    assert await content.migrations() == "at head"

    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE outbox DROP COLUMN last_error"))

    with pytest.raises(Unhealthy, match="has no outbox, or an older one"):
        await needy.migrations()


@on_sqlite
@pytest.mark.parametrize(
    ("mark", "pending", "detail"),
    [
        (0, 5, "has no limit"),
        (10, 5, "accepts new work: 5 of 10 pending"),
        (10, 11, "refuses new work: more than 10 pending"),
    ],
)
async def test_a_full_outbox_is_only_a_detail(ask, mark, pending, detail):
    high_water = HighWater(mark, refused=list)
    high_water.observe(pending)

    response = await ask("/readyz", high_water=high_water)

    assert (response.status_code, response.json()["checks"]["outbox"]["detail"]) == (200, detail)


@on_sqlite
async def test_a_database_that_is_away_makes_it_unready_but_not_dead(ask, no_database):
    ready, live = await ask("/readyz", database=no_database), await ask("/livez", database=no_database)

    assert (ready.status_code, live.status_code) == (503, 200)
    assert ready.json()["checks"]["database"]["status"] == "failing"


@on_sqlite
async def test_a_service_that_drains_is_unready(ask, stopping):
    stopping.set()

    response = await ask("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["draining"]["detail"] == "is shutting down"


@on_sqlite
async def test_a_relay_that_has_stopped_makes_it_unready(ask, make_relay):
    response = await ask("/readyz", relay=make_relay())

    assert (response.status_code, response.json()["checks"]["relay"]["detail"]) == (503, "has stopped")


@on_sqlite
async def test_a_broker_that_is_away_is_only_a_detail(ask, make_relay, running, recorded, publisher):
    await recorded()
    publisher.away = True
    relay = make_relay()

    async with running(relay):
        await eventually(lambda: relay.interrupted_by)
        response = await ask("/readyz", relay=relay)

    assert response.status_code == 200
    assert response.json()["checks"]["relay"]["detail"] == "waits: localhost:5672: refused"


@pytest.mark.slow
@on_sqlite
async def test_a_check_that_hangs_fails_by_its_own_deadline(ask):
    checks = (await ask("/readyz", checks=HangingChecks)).json()["checks"]

    assert (checks["migrations"]["status"], checks["migrations"]["detail"]) == ("failing", "no answer within 0.5 s")
    assert checks["database"]["status"] == "ok"


async def test_the_backlog_is_counted_for_a_scrape(ask, engine):
    async with AsyncSession(engine) as session, session.begin():
        record(session, an_envelope())

    response = await ask("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert "tidings_outbox_pending 1.0" in response.text


@on_sqlite
async def test_a_scrape_is_answered_though_the_database_is_away(ask, no_database):
    response = await ask("/metrics", database=no_database)

    assert response.status_code == 200
    assert "tidings_outbox_pending NaN" in response.text


@on_sqlite
async def test_many_scrapes_count_the_outbox_once(engine, stopping):
    outbox = CountingOutbox(engine)

    async with asking(
        an_app(Checks(engine=engine, relay=None, high_water=NO_LIMIT, stopping=stopping), outbox)
    ) as client:
        await asyncio.gather(*(client.get("/metrics") for _ in range(20)))

    assert outbox.counted == 1
