import asyncio

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from producer_service.account_models import Allowance
from producer_service.allowances import restore, spend
from producer_service.clock import FromNow

KEY, OTHER = b"k" * 32, b"o" * 32


async def spent(engine, key=KEY, *, most=3, message_id=None):
    async with AsyncSession(engine) as session, session.begin():
        return await spend(session, key, most=most, message_id=message_id)


async def test_an_allowance_is_there_as_often_as_it_says_and_then_no_more(engine):
    results = [await spent(engine) for _ in range(5)]

    assert [result.allowed for result in results] == [True, True, True, False, False]
    assert (await spent(engine, OTHER)).allowed
    assert all(3590 <= result.seconds <= 3600 for result in results)


async def test_a_crowd_has_no_more_than_one_after_another(engine):
    results = await asyncio.gather(*(spent(engine) for _ in range(8)))

    assert sum(result.allowed for result in results) == 3


async def test_the_message_of_the_last_use_that_was_allowed_is_remembered(engine):
    results = [await spent(engine, most=2, message_id=str(number)) for number in range(4)]

    assert [result.message_id for result in results] == ["0", "1", "1", "1"]


async def test_an_allowance_is_whole_again_after_an_hour_from_its_first_use(engine):
    for _ in range(4):
        await spent(engine, message_id="old")
    async with engine.begin() as connection:
        await connection.execute(update(Allowance).values(since=FromNow(-3601.0)))

    results = [await spent(engine, message_id="new") for _ in range(4)]

    assert [result.allowed for result in results] == [True, True, True, False]
    assert {result.message_id for result in results} == {"new"}


async def test_an_allowance_that_is_restored_is_whole(engine):
    for _ in range(4):
        await spent(engine)
    await spent(engine, OTHER)

    async with AsyncSession(engine) as session, session.begin():
        await restore(session, KEY)

    assert [(await spent(engine)).allowed for _ in range(4)] == [True, True, True, False]


async def test_what_is_not_committed_was_not_used(engine):
    for _ in range(5):
        async with AsyncSession(engine) as session:
            await spend(session, KEY, most=3)

    assert (await spent(engine)).allowed
