from datetime import UTC, datetime, timedelta

import pytest

from producer_service.ingestion.issuing import NoSuchKey
from producer_service.ingestion.keys import KeyRing

DAY = timedelta(days=1)


def id_of(key):
    return key.split("_")[1]


async def test_a_rotated_key_works_beside_its_successor_for_the_overlap(issuing, engine, a_key):
    old = await a_key(types=["order.*"], rate=5)

    new = await issuing.rotate(id_of(old), overlap=DAY)

    first, second = await issuing.keys()
    assert all([await KeyRing(engine).find(key) for key in (old, new)])
    assert (second.types, second.rate, second.client, second.expires_at) == (["order.*"], 5, "shop", None)
    assert abs(first.expires_at - datetime.now(UTC) - DAY) < timedelta(minutes=1)


async def test_a_rotation_without_overlap_ends_the_old_key(issuing, engine, a_key):
    old = await a_key()

    new = await issuing.rotate(id_of(old), overlap=timedelta())

    assert [key.id for key in await issuing.keys()] == [id_of(new)]
    assert await KeyRing(engine).find(old) is None


async def test_a_rotation_makes_no_key_last_longer(issuing, a_key):
    old = await a_key(lasts=timedelta(hours=1))

    await issuing.rotate(id_of(old), overlap=DAY)

    (first, _) = await issuing.keys()
    assert first.expires_at - datetime.now(UTC) < timedelta(hours=1, minutes=1)


async def test_a_revoked_key_can_be_neither_used_rotated_nor_revoked_again(issuing, engine, a_key):
    key = await a_key()

    await issuing.revoke(id_of(key))

    assert await KeyRing(engine).find(key) is None
    assert (await issuing.keys(), [each.id for each in await issuing.keys(also_dead=True)]) == ([], [id_of(key)])
    for again in (issuing.revoke(id_of(key)), issuing.rotate(id_of(key), overlap=DAY)):
        with pytest.raises(NoSuchKey, match=id_of(key)):
            await again
