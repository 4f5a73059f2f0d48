"""The database server crashes, and has forgotten nothing of the inbox: a twin would be done beside what was started."""

from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from support.inboxes import an_assignment, done, is_alive, statuses
from support.mortal_postgres import a_forgetful_postgres
from support.tasks import AtMostOnceTask, RecordingTask
from support.waiting import eventually

from consumer_service.claim import Verdict
from consumer_service.database import DATABASE_ERRORS, open_engine
from consumer_service.inbox import Inbox
from consumer_service.migrations import migrate

pytestmark = pytest.mark.fault


@pytest.fixture
def mortal_postgres():
    with a_forgetful_postgres() as postgres:
        yield postgres


@asynccontextmanager
async def inbox_on(url):
    engine = open_engine(url)
    await migrate(engine)
    await is_alive(engine, "this")
    yield engine, Inbox(engine, worker="this")
    await engine.dispose()


async def answers(engine):
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    except DATABASE_ERRORS:
        return False


async def crash(mortal_postgres, engine):
    async with mortal_postgres.down("immediate"):
        pass
    await eventually(lambda: answers(engine), within=40)


async def test_what_a_worker_has_started_and_ended_is_never_forgotten(mortal_postgres):
    async with mortal_postgres.new_database() as url, inbox_on(url) as (engine, inbox):
        for _ in range(3):
            started = [an_assignment(task=AtMostOnceTask()), an_assignment(task=RecordingTask())]
            assert await inbox.start(started) == [Verdict.GRANTED] * 2
            await crash(mortal_postgres, engine)

            assert [(await statuses(engine))[each.key.message_id] for each in started] == ["started"] * 2

            await inbox.finish(done(*started))
            await crash(mortal_postgres, engine)

            assert [(await statuses(engine))[each.key.message_id] for each in started] == ["done"] * 2
