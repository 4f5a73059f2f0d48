from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError
from support.dead_letters import a_dead_message, buried, grown_old, the_letters

from consumer_service.clock import ago
from consumer_service.models import DeadLetterRow

EAST = timezone(timedelta(hours=5, minutes=45))


async def test_a_moment_comes_back_as_the_same_moment_whatever_its_zone(engine):
    moment = datetime(2026, 11, 22, 3, 15, 7, tzinfo=EAST)

    await buried(engine, a_dead_message(died_at=moment.astimezone(UTC), time=moment))

    (letter,) = await the_letters(engine)
    assert letter.time == letter.last_died_at == moment
    assert letter.time.utcoffset() == timedelta(0)


async def test_a_moment_without_a_zone_is_refused(engine):
    with pytest.raises(StatementError, match="needs a zone"):
        await buried(engine, a_dead_message(time=datetime(2026, 11, 22)))  # noqa: DTZ001 - the very point


async def test_ago_is_told_by_the_clock_of_the_database(engine):
    young, old = await buried(engine, a_dead_message(), a_dead_message())
    await grown_old(engine, old, by=timedelta(hours=2))

    async with engine.connect() as connection:
        before = select(DeadLetterRow.id).where(
            DeadLetterRow.last_died_at < ago(engine.dialect.name, timedelta(hours=1))
        )
        assert list(await connection.scalars(before)) == [old.id]
    assert young.id != old.id
