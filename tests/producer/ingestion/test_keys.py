from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from support.databases import on_sqlite

from producer_service.ingestion.keys import REMEMBERED_SECONDS, WRITTEN, KeyRing, new_key
from producer_service.ingestion_tables import ApiKey


@pytest.fixture
def clock():
    class Clock:
        time = 0.0

        def __call__(self):
            return self.time

    return Clock()


@pytest.fixture
def ring(engine, clock):
    return KeyRing(engine, clock)


@pytest.fixture
def in_table(engine):
    """Read one column of the only key; or write into it."""

    async def in_table(column, **values):
        async with engine.begin() as connection:
            if values:
                await connection.execute(update(ApiKey).values(**values))
            return (await connection.execute(select(getattr(ApiKey, column)))).scalar_one()

    return in_table


async def test_a_key_tells_whose_it_is_and_what_it_may_do(ring, a_key):
    found = await ring.find(await a_key(types=["order.*"], sources=["/shop", "/till"], rate=7))

    assert (found.client, found.rate, found.scope.types, found.scope.sources) == (
        "shop",
        7,
        ["order.*"],
        ["/shop", "/till"],
    )


@on_sqlite
async def test_a_key_with_one_letter_wrong_is_nobodys(ring, a_key):
    key = await a_key()
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")

    assert await ring.find(key)
    assert await ring.find(wrong) is None
    assert await ring.find(new_key().text) is None
    assert await ring.find("") is None


async def test_a_key_that_has_expired_or_was_revoked_is_nobodys_after_a_few_seconds(ring, clock, a_key, in_table):
    key, past = await a_key(), datetime.now(UTC) - timedelta(seconds=1)
    assert await ring.find(key)

    await in_table("id", revoked_at=past)
    assert await ring.find(key)
    clock.time += REMEMBERED_SECONDS
    assert await ring.find(key) is None

    await in_table("id", revoked_at=None, expires_at=past)
    assert await ring.find(key) is None


async def test_when_a_key_was_last_used_is_written_once_for_many_uses(ring, a_key, in_table):
    key = await a_key()
    await ring.find(key)
    assert await in_table("last_used_at") is None

    await ring.write_notes()
    noted = await in_table("last_used_at")
    await in_table("id", last_used_at=None)
    await ring.write_notes()

    assert (noted is not None, await in_table("last_used_at")) == (True, None)


@on_sqlite
async def test_of_a_secret_only_its_hash_is_kept(a_key, in_table):
    key = await a_key()

    secret = WRITTEN.fullmatch(key)[2]
    assert len(await in_table("secret_hash")) == 32
    assert secret.encode() not in await in_table("secret_hash")


def test_no_two_keys_are_alike_and_none_shows_itself_when_it_is_printed():
    one, two = new_key(), new_key()

    assert (one.id == two.id, one.text == two.text) == (False, False)
    assert one.text not in repr(one)
