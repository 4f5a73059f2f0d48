from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from sqlalchemy import insert, literal, select, update

from producer_service.clock import FromNow, now
from producer_service.models import User


@pytest.fixture
async def ann(engine):
    async with engine.begin() as connection:
        await connection.execute(insert(User).values(ANN))
    return engine


ANN = {
    "id": UUID("01890000-0000-7000-8000-00000000000a"),
    "email": "a@b.example",
    "email_key": "a@b.example",
    "name": "",
    "password_hash": "",
    "locale": "en",
}


async def test_now_is_now_with_a_zone(ann):
    created_at = await read(ann, User.created_at)

    assert abs(datetime.now(UTC) - created_at) < timedelta(seconds=30)


@pytest.mark.parametrize("seconds", [2.5, -2.5])
async def test_a_moment_from_now_is_that_far_away(ann, seconds):
    then, here = await read(ann, FromNow(seconds), now())

    assert then - here == timedelta(seconds=seconds)


async def test_stored_times_compare_with_now(ann):
    await write(ann, email_verified_at=FromNow(600.0))

    assert not await read(ann, User.email_verified_at <= now())
    assert await read(ann, User.email_verified_at <= FromNow(literal(601.0)))


async def test_stored_times_compare_to_the_millisecond(ann):
    await write(ann, email_verified_at=now())
    stored, millisecond = await read(ann, User.email_verified_at), timedelta(milliseconds=1)

    assert not await read(ann, User.email_verified_at <= stored - millisecond)
    assert await read(ann, User.email_verified_at < stored + millisecond)


async def test_a_time_with_another_zone_is_the_same_moment(ann):
    noon_in_delhi = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=5.5)))

    await write(ann, email_verified_at=noon_in_delhi)

    assert await read(ann, User.email_verified_at) == datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


async def test_a_time_without_a_zone_is_refused(ann):
    with pytest.raises(Exception, match="needs a zone"):
        await write(ann, email_verified_at=datetime(2026, 11, 21, 12))  # noqa: DTZ001 - the point


async def read(engine, *columns):
    async with engine.connect() as connection:
        row = (await connection.execute(select(*columns).select_from(User))).one()
    return row[0] if len(row) == 1 else row


async def write(engine, **values):
    async with engine.begin() as connection:
        await connection.execute(update(User).values(**values))
