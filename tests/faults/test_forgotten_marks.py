"""The database server crashes, and has forgotten what the relay marked last, which it does not wait to see on disk."""

from collections import Counter
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from support.builders import a_queue, a_topology, a_user_created, an_envelope
from support.mortal_postgres import a_forgetful_postgres
from support.transports import WatchedTransport
from support.waiting import eventually

from producer_service.app import relay_alone
from producer_service.database import DATABASE_ERRORS, open_engine
from producer_service.migrations import migrate
from producer_service.outbox import record
from producer_service.settings import Settings

pytestmark = pytest.mark.fault

QUEUE = "consumer.mail"


@pytest.fixture
def mortal_postgres():
    with a_forgetful_postgres() as postgres:
        yield postgres


@asynccontextmanager
async def relay_on(url, transport):
    """Run a relay on a new outbox, and give a connection pool to it."""
    engine = open_engine(url)
    await migrate(engine)
    async with relay_alone(Settings(database_url=url, broker_url="memory://"), transport):
        yield engine
    await engine.dispose()


async def announce(engine):
    async with AsyncSession(engine) as session, session.begin():
        record(session, an_envelope(a_user_created()))


async def all_published(engine):
    try:
        async with engine.connect() as connection:
            return not (await connection.execute(text("SELECT 1 FROM outbox WHERE status <> 'published'"))).all()
    except DATABASE_ERRORS:
        return False


async def test_marks_that_a_crashed_database_forgot_are_made_again_and_their_messages_published_again(mortal_postgres):
    transport = WatchedTransport()
    await transport.apply(a_topology(a_queue(QUEUE, "user.created")))
    published = []

    async with mortal_postgres.new_database() as url, relay_on(url, transport) as engine:
        while len(published) == len(set(published)) and len(published) < 10:
            await announce(engine)
            await eventually(lambda: all_published(engine), within=20)
            async with mortal_postgres.down("immediate"):
                pass
            await eventually(lambda: all_published(engine), within=40)
            published = [message.message_id for message in transport.waiting(QUEUE)]

    assert Counter(Counter(published).values())[2] == 1
