import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.databases import on_sqlite
from support.waiting import eventually

from producer_service.account_models import Allowance, Proof, UserSession
from producer_service.accounts.asking import Wish
from producer_service.accounts.forgetting import LONGEST_KEPT, Forgetting
from producer_service.accounts.sessions import Credentials
from producer_service.unit_of_work import Travel

TABLES = (Proof, UserSession, Allowance)


@pytest.fixture
async def something(use_cases, ann):
    """A proof, a session and an allowance at the least."""
    assert ann
    await use_cases.sessions.open(Credentials("ann@example.org", "correct horse", None), Travel())
    await use_cases.resets.request(Wish("ann@example.org", "en"), Travel())


async def test_what_is_over_is_deleted_and_what_is_not_is_kept(engine, something, count, ages):
    assert await Forgetting(engine).forget() == 0

    await ages(LONGEST_KEPT + timedelta(seconds=1))

    assert await Forgetting(engine).forget() == 5
    assert [await count(table) for table in TABLES] == [0, 0, 0]
    assert something is None


async def test_a_link_that_may_still_be_followed_is_kept(engine, something, count, ages):
    await ages(LONGEST_KEPT - timedelta(minutes=1))

    await Forgetting(engine).forget()

    assert [await count(table) for table in TABLES] == [2, 0, 0]
    assert something is None


@on_sqlite
async def test_it_deletes_in_bites(engine, something, count, ages):
    await ages(LONGEST_KEPT + timedelta(seconds=1))

    assert await Forgetting(engine).forget(at_once=1) == 3

    assert [await count(table) for table in TABLES] == [1, 0, 1]
    assert something is None


@on_sqlite
async def test_it_takes_one_bite_after_another_while_there_is_more(engine, something, count, ages):
    await ages(LONGEST_KEPT + timedelta(seconds=1))
    running = asyncio.create_task(Forgetting(engine).keep_forgetting(every=60, at_once=1))

    async def nothing_left():
        return [await count(table) for table in TABLES] == [0, 0, 0]

    await eventually(nothing_left)
    running.cancel()
    assert something is None


@on_sqlite
async def test_a_database_that_is_away_does_not_end_it(engine, something, count, ages):
    await ages(LONGEST_KEPT + timedelta(seconds=1))
    forgetting = Forgetting(engine)
    tables = [table.__tablename__ for table in TABLES]
    await _rename(engine, [(name, f"{name}_elsewhere") for name in tables])

    with capture_logs() as logs:
        running = asyncio.create_task(forgetting.keep_forgetting(every=0.01))
        await eventually(lambda: logs)
        await _rename(engine, [(f"{name}_elsewhere", name) for name in tables])
        await eventually(lambda: any(log["event"] == "accounts.forgotten" for log in logs))
        running.cancel()

    assert logs[0] == {"event": "accounts.not_forgotten", "error": "OperationalError", "log_level": "warning"}
    assert await count(Proof) == 0
    assert something is None


async def _rename(engine, names):
    async with engine.begin() as connection:
        for old, new in names:
            await connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
