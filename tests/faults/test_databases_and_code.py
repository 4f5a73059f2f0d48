"""The database is of another version than the code, or is a file that somebody else is writing to."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from support.clients import asking
from support.inboxes import an_assignment, is_alive
from support.waiting import eventually

from consumer_service import database as consumer_database
from consumer_service.claim import Verdict
from consumer_service.inbox import Inbox
from consumer_service.migrations import migrate as migrate_consumer
from producer_service import database as producer_database
from producer_service.app import producer
from producer_service.migrations import migrate as migrate_producer
from producer_service.settings import ApiSettings
from shared.backends.memory import MemoryTransport

pytestmark = [pytest.mark.fault]

BUSY_SECONDS = 5.5
"""A little longer than a service waits for another one that writes to its SQLite file."""

REQUEST = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}


@pytest.mark.broker
@pytest.mark.timeout(300)
async def test_a_worker_whose_tables_are_not_there_yet_takes_nothing_until_they_are(
    scene, services, doomed, postgres_url
):
    env = {**scene.consumer_env, "TIDINGS_DATABASE_URL": postgres_url}
    worker = services.start("consumer_service", "worker", "-q", "mail", env=env)
    relay = doomed("relay")
    await eventually(lambda: "worker.heartbeat_failed" in worker.said, within=30)
    await scene.accept(1)
    await eventually(lambda: "outbox.published" in relay.said, within=30)
    assert await worker.answers("/livez")
    assert not await worker.answers("/readyz")
    assert not scene.smtp.mails

    await asyncio.to_thread(services.run, "consumer_service", "migrate", env=env)

    await worker.is_ready()
    await eventually(lambda: scene.smtp.mails, within=30)


@pytest.mark.broker
async def test_services_of_the_last_version_work_on_a_schema_that_has_grown(pair):
    for engine, table in (
        (pair.outbox, "outbox"),
        (pair.outbox, "users"),
        (pair.inbox, "inbox"),
        (pair.inbox, "workers"),
    ):
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE {table} ADD COLUMN of_the_next_version text"))
            await connection.execute(text(f"CREATE INDEX ON {table} (of_the_next_version)"))

    assert (await pair.register()).status_code == 202
    await pair.accept(6)

    await pair.balances()


@asynccontextmanager
async def writing(path):
    """Hold the only lock of a SQLite file, from a process's point of view somewhere else."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_while_somebody_else_writes_to_the_sqlite_file_the_api_asks_for_patience(tmp_path):
    url = f"sqlite:///{tmp_path}/producer.db"
    engine = producer_database.open_engine(url)
    await migrate_producer(engine)
    await engine.dispose()
    secret = SecretStr("a-link-secret-of-at-least-32-characters")
    settings = ApiSettings(database_url=SecretStr(url), broker_url=SecretStr("memory://"), link_secret=secret)
    async with producer(settings, MemoryTransport()) as app, asking(app) as client:
        async with writing(tmp_path / "producer.db"), asyncio.timeout(60):
            answer = await client.post("/v1/users", json=REQUEST)
            assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
            assert (await client.get("/livez")).status_code == 200

        assert (await client.post("/v1/users", json=REQUEST)).status_code == 202


async def test_while_somebody_else_writes_to_the_sqlite_file_the_inbox_is_asked_until_it_answers(tmp_path):
    engine = consumer_database.open_engine(f"sqlite:///{tmp_path}/consumer.db")
    await migrate_consumer(engine)
    await is_alive(engine, "this")
    inbox, assignment = Inbox(engine, worker="this"), an_assignment()

    async with writing(tmp_path / "consumer.db"):
        asking_again = asyncio.create_task(
            consumer_database.insist(lambda: inbox.start([assignment]), queue="consumer.mail", pause_seconds=0.05)
        )
        await asyncio.sleep(BUSY_SECONDS)
        assert not asking_again.done()

    assert await asyncio.wait_for(asking_again, 30) == [Verdict.GRANTED]
    await engine.dispose()
